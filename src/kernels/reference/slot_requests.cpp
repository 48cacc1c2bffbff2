#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "kernels/sampling.h"

namespace incipit {

void ResetSlot::reference(const Problem&, const Args& args) {
  const SlotArrays& arrays = args.slots;
  const int32_t known = args.request->known, generated_from = args.request->generated_from;
  INCIPIT_ASSERT(known >= 0 && known <= arrays.max_context);
  SlotState& state = arrays.slots[args.slot];
  state.parameters = args.request->parameters;
  const int32_t* history = arrays.history + int64_t{args.slot} * arrays.max_context;
  state.last_token = known > 0 ? history[known - 1] : 0;
  state.length = known;
  arrays.generated_from[args.slot] = generated_from;
  const auto row = static_cast<size_t>(args.slot) * static_cast<size_t>(arrays.vocabulary);
  std::fill_n(arrays.prompt_counts + row, arrays.vocabulary, uint16_t{0});
  std::fill_n(arrays.generated_counts + row, arrays.vocabulary, uint16_t{0});
  for (int32_t i = 0; i < known; ++i) {
    uint16_t* counts = i >= generated_from ? arrays.generated_counts : arrays.prompt_counts;
    uint16_t& count = counts[row + static_cast<size_t>(history[i])];
    if (count < UINT16_MAX) ++count;
  }
}

void TruncateSlot::reference(const Problem&, const Args& args) {
  const SlotArrays& arrays = args.slots;
  SlotState& state = arrays.slots[args.slot];
  const int32_t length = args.request->keep;
  INCIPIT_ASSERT(length >= 0);
  if (length >= state.length) return;
  const int32_t* history = arrays.history + int64_t{args.slot} * arrays.max_context;
  const auto row = static_cast<size_t>(args.slot) * static_cast<size_t>(arrays.vocabulary);
  const int32_t generated_from = arrays.generated_from[args.slot];
  for (int32_t i = state.length; i-- > length;) {
    const bool generated = i >= generated_from;
    const int32_t token = history[i];
    uint16_t& count = (generated ? arrays.generated_counts : arrays.prompt_counts)[row + static_cast<size_t>(token)];
    if (count < UINT16_MAX) {
      --count;
      continue;
    }
    // Saturated: only the history still knows.
    const int32_t* begin = history + (generated ? std::max(generated_from, 0) : 0);
    count = static_cast<uint16_t>(std::min<int64_t>(std::count(begin, history + i, token), UINT16_MAX));
  }
  state.length = length;
  state.last_token = length > 0 ? history[length - 1] : 0;
}

void Publish::reference(const Problem&, const Args& args) {
  std::atomic_ref<uint64_t>(*args.done).store(args.step, std::memory_order_release);
}

}  // namespace incipit
