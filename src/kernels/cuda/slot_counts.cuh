// How often tokens occur in a slot's history: counters of 16 bits that stay at their largest value.
#pragma once

#include "kernels/cuda/prelude.cuh"
#include "kernels/sampling.h"

namespace incipit {

constexpr int32_t largest_count = UINT16_MAX;

/// The counter of a token at `index` of the history, `generated_from` being the first index that was generated.
inline uint16_t* counter_of(const SlotArrays& arrays, int32_t slot, int32_t generated_from, int32_t index,
                            int32_t token) {
  uint16_t* counts = index >= generated_from ? arrays.generated_counts : arrays.prompt_counts;
  return counts + int64_t{slot} * arrays.vocabulary + token;
}

/// Every lane of a warp has a counter or null. `change(counter, times)` is called once for each of the counters, with
/// how many lanes have it.
template <typename Change>
void for_each_counter(uint16_t* counter, Change change) {
  const unsigned same = __match_any_sync(all_lanes, reinterpret_cast<unsigned long long>(counter));
  if (counter != nullptr && __ffs(static_cast<int>(same)) - 1 == static_cast<int>(threadIdx.x % warp_size)) {
    change(counter, __popc(same));
  }
}

/// `next(count)` follows a count, whatever other threads do.
template <typename Next>
void replace_count(uint16_t* counter, Next next) {
  uint16_t seen = *counter, expected;
  do {
    expected = seen;
    seen = atomicCAS(counter, expected, static_cast<uint16_t>(next(int32_t{expected})));
  } while (seen != expected);
}

/// One more occurrence for each lane that has a counter. All lanes of a warp call it.
inline void count_up(uint16_t* counter) {
  for_each_counter(counter, [](uint16_t* one, int32_t times) {
    replace_count(one, [&](int32_t count) { return count + times < largest_count ? count + times : largest_count; });
  });
}

}  // namespace incipit
