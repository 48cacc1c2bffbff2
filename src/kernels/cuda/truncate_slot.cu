// TruncateSlot (kernels/sampling.h): one block.
#include "kernels/cuda/slot_counts.cuh"
#include "kernels/cuda/slot_params.h"

using namespace incipit;

extern "C" __global__ void truncate_slot(const __grid_constant__ SlotRequestParams params) {
  wait_for_predecessors();
  let_successor_start();
  const SlotArrays& arrays = params.slots;
  SlotState& state = arrays.slots[params.slot];
  const int32_t keep = params.request->keep, length = state.length;
  if (keep >= length) return;
  const int32_t* history = arrays.history + int64_t{params.slot} * arrays.max_context;
  const int32_t generated_from = arrays.generated_from[params.slot];
  const auto thread = static_cast<int32_t>(threadIdx.x), threads = static_cast<int32_t>(blockDim.x);
  // A counter at its largest value stays there, whatever is taken back.
  for (int32_t first = keep; first < length; first += threads) {
    const int32_t i = first + thread;
    for_each_counter(i < length ? counter_of(arrays, params.slot, generated_from, i, history[i]) : nullptr,
                     [](uint16_t* counter, int32_t times) {
                       replace_count(counter,
                                     [&](int32_t count) { return count == largest_count ? count : count - times; });
                     });
  }
  __syncthreads();
  // Only the history still knows how often such a token occurs.
  for (int32_t i = keep + thread; i < length; i += threads) {
    uint16_t* counter = counter_of(arrays, params.slot, generated_from, i, history[i]);
    if (*counter != largest_count) continue;
    int32_t count = 0;
    for (int32_t j = i >= generated_from && generated_from > 0 ? generated_from : 0; j < keep; ++j) {
      count += history[j] == history[i] ? 1 : 0;
    }
    *counter = static_cast<uint16_t>(count < largest_count ? count : largest_count);
  }
  if (thread != 0) return;
  state.length = keep;
  state.last_token = keep > 0 ? history[keep - 1] : 0;
}
