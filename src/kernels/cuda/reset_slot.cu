// ResetSlot (kernels/sampling.h): a block a range of the vocabulary, whose counters it zeros and counts up.
#include "kernels/cuda/slot_counts.cuh"
#include "kernels/cuda/slot_params.h"

using namespace incipit;

namespace {

/// In pieces of 16 bytes but for the ends. All threads of a block call it.
void zero(uint16_t* counts, int32_t size) {
  const auto thread = static_cast<int32_t>(threadIdx.x), threads = static_cast<int32_t>(blockDim.x);
  const auto misaligned = static_cast<int32_t>(reinterpret_cast<uintptr_t>(counts) % 16 / sizeof(uint16_t));
  const int32_t head = misaligned == 0 ? 0 : 8 - misaligned;
  for (int32_t i = thread; i < head && i < size; i += threads) counts[i] = 0;
  const int32_t pieces = size > head ? (size - head) / 8 : 0;
  for (int32_t i = thread; i < pieces; i += threads) reinterpret_cast<uint4*>(counts + head)[i] = uint4{0, 0, 0, 0};
  for (int32_t i = head + pieces * 8 + thread; i < size; i += threads) counts[i] = 0;
}

}  // namespace

extern "C" __global__ void reset_slot(const __grid_constant__ SlotRequestParams params) {
  wait_for_predecessors();
  let_successor_start();
  const SlotArrays& arrays = params.slots;
  const SlotRequest& request = *params.request;
  const auto thread = static_cast<int32_t>(threadIdx.x), threads = static_cast<int32_t>(blockDim.x);
  const int32_t* history = arrays.history + int64_t{params.slot} * arrays.max_context;
  const int32_t known = request.known;

  const auto blocks = static_cast<int32_t>(gridDim.x);
  const int32_t share = (arrays.vocabulary + blocks - 1) / blocks;
  const int32_t begin = static_cast<int32_t>(blockIdx.x) * share;
  const int32_t end = begin + share < arrays.vocabulary ? begin + share : arrays.vocabulary;
  const int64_t first_count = int64_t{params.slot} * arrays.vocabulary + begin;
  if (begin < end) {
    zero(arrays.prompt_counts + first_count, end - begin);
    zero(arrays.generated_counts + first_count, end - begin);
  }
  __syncthreads();
  for (int32_t first = 0; first < known; first += threads) {
    const int32_t i = first + thread;
    const int32_t token = i < known ? history[i] : -1;
    const bool mine = token >= begin && token < end;
    count_up(mine ? counter_of(arrays, params.slot, request.generated_from, i, token) : nullptr);
  }

  if (blockIdx.x != 0) return;
  SlotState& state = arrays.slots[params.slot];
  constexpr int32_t words = sizeof(SamplingParameters) / sizeof(uint32_t);
  for (int32_t i = thread; i < words; i += threads) {
    reinterpret_cast<uint32_t*>(&state.parameters)[i] = reinterpret_cast<const uint32_t*>(&request.parameters)[i];
  }
  if (thread != 0) return;
  state.last_token = known > 0 ? history[known - 1] : 0;
  state.length = known;
  arrays.generated_from[params.slot] = request.generated_from;
}
