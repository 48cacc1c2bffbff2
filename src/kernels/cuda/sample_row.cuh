// A row of logits as its cluster reads it (sample.cu): every warp has a run of ids, in which lanes take four
// neighbours at a time. Adjusted logits are computed where they are needed, never stored.
#pragma once

#include "kernels/cuda/cluster.cuh"
#include "kernels/cuda/prelude.cuh"
#include "kernels/cuda/sample_params.h"
#include "kernels/sampling_rules.h"

namespace incipit {

constexpr int32_t block_warps = THREADS / warp_size;
constexpr int32_t all_warps = CLUSTER * block_warps;
constexpr int32_t ids_at_once = 4 * warp_size;

/// Ids of which this block must look whether a bias or a later token changes them; a few others may be among them.
struct IdFilter {
  static constexpr uint32_t bits = 32768;
  uint32_t words[bits / 32];

  void add(int32_t id) { atomicOr(&words[id % bits / 32], 1U << (id % 32)); }
  bool has(int32_t id) const { return (words[id % bits / 32] >> (id % 32) & 1) != 0; }
};

struct SampledLogits {
  const float* logits;
  int32_t vocabulary;
  bool aligned;        // to 16 bytes
  int32_t ids;         // a warp
  int32_t first, end;  // this warp's

  const SamplingParameters* parameters;
  const uint16_t* prompt_counts;
  const uint16_t* generated_counts;
  const int32_t* history;
  int32_t length, later;  // of the history; the last tokens of it that come after the row's own
  int32_t generated_from;
  const uint32_t* mask;    // or nullptr
  const IdFilter* filter;  // or nullptr
  bool penalties;

  bool is_adjusted() const { return mask != nullptr || filter != nullptr || penalties; }
  bool allows(int32_t id) const { return mask == nullptr || (mask[id / 32] >> (id % 32) & 1) != 0; }

  /// The ordered logits of `id` and the three behind it; −infinity beyond the vocabulary.
  float4 load(int32_t id) const {
    if (aligned && id + 4 <= vocabulary) {
      const float4 x = __ldg(reinterpret_cast<const float4*>(logits + id));
      return {ordered_logit(x.x), ordered_logit(x.y), ordered_logit(x.z), ordered_logit(x.w)};
    }
    const auto one = [&](int32_t i) { return i < vocabulary ? ordered_logit(logits[i]) : no_logit; };
    return {one(id), one(id + 1), one(id + 2), one(id + 3)};
  }

  /// The logit after mask, bias and penalties, of an ordered one.
  __noinline__ float adjust(int32_t id, float logit) const {
    if (logit == no_logit || !allows(id)) return no_logit;
    const bool listed = filter != nullptr && filter->has(id);
    if (listed) {
#pragma unroll 1
      for (int32_t i = 0; i < parameters->biases; ++i) {
        if (parameters->bias_ids[i] == id) logit = ordered_logit(logit + parameters->bias_values[i]);
      }
    }
    if (!penalties) return logit;
    int32_t prompt = prompt_counts[id], generated = generated_counts[id];
    if (listed) {
#pragma unroll 1
      for (int32_t i = length - later; i < length; ++i) {
        if (history[i] == id) --(i >= generated_from ? generated : prompt);
      }
    }
    return penalized(*parameters, logit, prompt, generated);
  }

  /// Calls `take(id, ordered logit)` for this warp's ids that may be candidates.
  template <typename Take>
  void for_each(Take take) const {
    const int32_t lane_first = first + 4 * static_cast<int32_t>(threadIdx.x % warp_size);
    float4 next = load(lane_first);
#pragma unroll 1
    for (int32_t id = lane_first; id < end; id += ids_at_once) {
      const float4 x = next;
      next = load(id + ids_at_once < end ? id + ids_at_once : vocabulary);
#pragma unroll 1
      for (int32_t i = 0; i < 4; ++i) {
        const float logit = i == 0 ? x.x : i == 1 ? x.y : i == 2 ? x.z : x.w;
        if (logit != no_logit) take(id + i, logit);
      }
    }
  }
};

/// The sum of `x` up to and with this lane.
inline uint64_t warp_running_sum(uint64_t x) {
  const int lane = static_cast<int>(threadIdx.x % warp_size);
  for (int distance = 1; distance < warp_size; distance *= 2) {
    const uint64_t other = __shfl_up_sync(all_lanes, x, distance);
    if (lane >= distance) x += other;
  }
  return x;
}

}  // namespace incipit
