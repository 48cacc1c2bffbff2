// ResolveTokens (kernels/sampling.h): a block a sequence.
#include "kernels/cuda/slot_counts.cuh"
#include "kernels/cuda/slot_params.h"

using namespace incipit;

extern "C" __global__ void __launch_bounds__(1024) resolve_tokens(const __grid_constant__ ResolveTokensParams params) {
  let_successor_start();
  const SlotArrays& arrays = params.slots;
  const int32_t sequences = params.counts.counts != nullptr ? params.counts.counts->sequences : params.sequences;
  wait_for_predecessors();
  for (int32_t sequence = static_cast<int32_t>(blockIdx.x); sequence < sequences;
       sequence += static_cast<int32_t>(gridDim.x)) {
    const SequenceSpan span = params.spans[sequence];
    SlotState& state = arrays.slots[span.slot];
    const int32_t length = state.length, last_token = state.last_token;
    const int32_t generated_from = arrays.generated_from[span.slot];
    int32_t* history = arrays.history + int64_t{span.slot} * arrays.max_context + length;
    __syncthreads();  // everyone has read the length
    for (int32_t first = 0; first < span.tokens; first += static_cast<int32_t>(blockDim.x)) {
      const int32_t i = first + static_cast<int32_t>(threadIdx.x);
      uint16_t* counter = nullptr;
      if (i < span.tokens) {
        const int32_t source = params.source[span.first_token + i];
        const int32_t id = source >= 0 ? source : last_token;
        params.ids[span.first_token + i] = id;
        history[i] = id;
        counter = counter_of(arrays, span.slot, generated_from, length + i, id);
      }
      count_up(counter);
    }
    if (threadIdx.x == 0) state.length = length + span.tokens;
  }
}
