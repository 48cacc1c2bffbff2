// What the kernels of ExpertLinear have in common: which expert a block multiplies with, which slots chose it, and what
// becomes of a slot's sums. Defines are those of epilogue.cuh, and INPUT.
//
// Blocks lie along x by expert, or by slot where there are fewer slots than experts: then the first slot of those that
// chose the same expert has it. A block looks through the step's choice by itself, so that nothing is sorted before and
// no byte is read of an expert that nothing chose.
#pragma once

#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/expert_linear_params.h"

namespace incipit {

struct ExpertSlot {
  int32_t row, slot;
};

/// The slots that chose a block's expert, of some rows.
template <int threads, int room = 2048>
struct ChosenSlots {
  static_assert(room >= most_expert_slots && room <= 65536);
  uint16_t numbers[room];  // counted over all slots of the rows
  int32_t warp_counts[threads / warp_size];

  /// Rows that are looked through at once.
  static int32_t rows_at_once(const ExpertLinearParams& params) { return min(room / params.top_k, 4 * threads); }

  /// Finds those of rows [first, end), which are at most rows_at_once(), in order; returns how many there are. All
  /// threads of the block call it.
  int32_t find(const ExpertLinearParams& params, int32_t expert, int32_t first, int32_t end) {
    const auto thread = static_cast<int32_t>(threadIdx.x);
    const int32_t share = (end - first + threads - 1) / threads;
    const int32_t own = min(first + thread * share, end), own_end = min(own + share, end);
    int32_t count = 0;
    for (int32_t row = own; row < own_end; ++row) {
      const int32_t* of_row = params.expert + row * params.expert_stride;
      int32_t slot = 0;
      for (; params.expert_vectors && slot + 4 <= params.top_k; slot += 4) {
        const int4 four = *reinterpret_cast<const int4*>(of_row + slot);
        count += (four.x == expert) + (four.y == expert) + (four.z == expert) + (four.w == expert);
      }
      for (; slot < params.top_k; ++slot) count += of_row[slot] == expert ? 1 : 0;
    }
    int32_t running = count;
    for (int distance = 1; distance < warp_size; distance *= 2) {
      const int32_t other = __shfl_up_sync(all_lanes, running, distance);
      if (lane_of_warp() >= distance) running += other;
    }
    __syncthreads();  // what was found before is not needed any more
    if (lane_of_warp() == warp_size - 1) warp_counts[thread / warp_size] = running;
    __syncthreads();
    int32_t at = running - count, total = 0;
    for (int32_t warp = 0; warp < threads / warp_size; ++warp) {
      if (warp < thread / warp_size) at += warp_counts[warp];
      total += warp_counts[warp];
    }
    for (int32_t row = own; count > 0 && row < own_end; ++row) {
      for (int32_t slot = 0; slot < params.top_k; ++slot) {
        if (params.expert[row * params.expert_stride + slot] != expert) continue;
        numbers[at++] = static_cast<uint16_t>((row - first) * params.top_k + slot);
      }
    }
    __syncthreads();
    return total;
  }

  /// The one of that number, of rows from `first` on.
  ExpertSlot at(const ExpertLinearParams& params, int32_t first, int32_t i) const {
    return {first + numbers[i] / params.top_k, numbers[i] % params.top_k};
  }
};

/// The expert of this block, or -1. All threads of the block call it.
inline int32_t expert_of_block(const ExpertLinearParams& params, int32_t rows) {
  const int32_t slots = rows * params.top_k;
  const auto block = static_cast<int32_t>(blockIdx.x);
  if (slots >= params.experts) return block < params.experts ? block : -1;
  if (block >= slots) return -1;
  const auto expert_at = [&](int32_t i) {
    return params.expert[i / params.top_k * params.expert_stride + i % params.top_k];
  };
  const int32_t expert = expert_at(block);
  bool earlier = expert < 0 || expert >= params.experts;
  for (auto i = static_cast<int32_t>(threadIdx.x); i < block; i += static_cast<int32_t>(blockDim.x)) {
    earlier = earlier || expert_at(i) == expert;
  }
  return __syncthreads_or(earlier) != 0 ? -1 : expert;
}

/// Zeros behind the slots of a share of the rows. All threads of the blocks along x call it.
inline void store_expert_pads(const ExpertLinearParams& params, int32_t rows) {
  const int32_t width = params.finish.width * params.top_k, pads = params.finish.padded_width - width;
  if (blockIdx.y != 0 || pads <= 0) return;
  for (auto row = static_cast<int32_t>(blockIdx.x); row < rows; row += static_cast<int32_t>(gridDim.x)) {
    for (auto i = static_cast<int32_t>(threadIdx.x); i < pads; i += static_cast<int32_t>(blockDim.x)) {
      *output_at(params.finish, row, width + i) = from_float<OUTPUT>(0);
    }
  }
}

inline const INPUT* expert_input(const ExpertLinearParams& params, const ExpertSlot& at) {
  return static_cast<const INPUT*>(params.input) + at.row * params.input_stride + at.slot * params.input_slot_stride;
}

inline const WEIGHT* expert_weight(const ExpertLinearParams& params, int32_t expert) {
  return static_cast<const WEIGHT*>(params.weight) + expert * params.expert_stride_of_weight;
}

/// Of one expert.
inline LinearFinish expert_finish(const ExpertLinearParams& params, int32_t expert) {
  LinearFinish finish = params.finish;
  const int64_t first = int64_t{expert} * finish.packed_rows;
  if constexpr (linear_codes) finish.weight_scales += first;
  if constexpr (BIAS) finish.bias += first;
  return finish;
}

/// From the sums of a slot to its outputs, as from those of a row.
struct SlotFinish {
  LinearFinish finish;
  float scale = 1;

  SlotFinish(const ExpertLinearParams& params, const LinearFinish& of_expert, const ExpertSlot& at)
      : finish(of_expert) {
    if constexpr (linear_codes) {
      scale = params.input_scales[at.row * params.input_scale_stride + at.slot * params.input_scale_slot_stride];
    }
    finish.output = static_cast<OUTPUT*>(finish.output) + at.row * finish.output_stride +
                    static_cast<int64_t>(at.slot) * finish.width;
  }
  /// Of packed rows that are eight apart: one output with a gate, else two.
  void pair(int32_t packed, LinearSum first, LinearSum second) const {
    finish_two(finish, 0, scale, packed, first, second);
  }
};

// ---- vectors of an input
inline uint32_t bits_of(bf16 x) { return x.bits; }
inline uint32_t bits_of(i8 x) { return static_cast<uint8_t>(x); }
inline uint32_t bits_of(float x) { return __float_as_uint(x); }

/// 16 bytes, zeros from `count` elements on.
__noinline__ inline uint4 load_elements(const INPUT* from, int32_t count) {
  constexpr int vector = 16 / sizeof(INPUT), word_elements = 4 / sizeof(INPUT);
  uint32_t words[4] = {};
#pragma unroll
  for (int i = 0; i < vector; ++i) {
    if (i < count) words[i / word_elements] |= bits_of(from[i]) << (i % word_elements * 8 * sizeof(INPUT));
  }
  return {words[0], words[1], words[2], words[3]};
}

}  // namespace incipit
