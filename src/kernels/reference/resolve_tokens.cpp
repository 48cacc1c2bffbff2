#include "base/error.h"
#include "kernels/batch.h"
#include "kernels/sampling.h"

namespace incipit {

void ResolveTokens::reference(const Problem& problem, const Args& args) {
  for (int32_t sequence = 0; sequence < args.sequences; ++sequence) {
    const SequenceSpan& span = args.spans[sequence];
    SlotState& state = args.slots.slots[span.slot];
    for (int32_t i = 0; i < span.tokens; ++i) {
      const int32_t source = args.source[span.first_token + i];
      const int32_t id = source >= 0 ? source : state.last_token;
      INCIPIT_ASSERT(id < problem.vocabulary && state.length < args.slots.max_context);
      args.ids[span.first_token + i] = id;
      args.slots.history[int64_t{span.slot} * args.slots.max_context + state.length] = id;
      const bool generated = state.length >= args.slots.generated_from[span.slot];
      uint16_t* counts = generated ? args.slots.generated_counts : args.slots.prompt_counts;
      uint16_t& count = counts[int64_t{span.slot} * args.slots.vocabulary + id];
      if (count < UINT16_MAX) ++count;
      ++state.length;
    }
  }
}

}  // namespace incipit
