// Weights in codes of four bits with a scale a group of inputs, as rows of k (kernels/weight_layout.h), for products of
// bf16.
//
// A code c becomes 1 + c / 16, which is exact: its bits are those of a bf16's mantissa, so that a shift and a mask do for
// two. What is too much of it, 1 + z / 16 with the zero point z (8 of codes that have none), is taken off before or after
// the product, and the scale is multiplied with 16.
//
// Defines: GROUP (inputs of a scale: 32, 64 or 128), ZERO_POINTS (0 or 1).
#pragma once

#include "kernels/cuda/linear_params.h"
#include "kernels/cuda/prelude.cuh"

namespace incipit {

constexpr int block_inputs = 64, block_bytes = block_inputs / 2;  // of a row, in which a lane of four has 8 bytes
constexpr int lane_bytes = block_bytes / 4;
constexpr float code_units = 16;

/// Codes `pair` and `pair` + 4 of a word, which are neighbours in k, as two bf16.
template <int pair>
inline uint32_t widened(uint32_t word) {
  const uint32_t mantissas = pair == 0 ? word << 3 : word >> (pair == 0 ? 0 : 4 * pair - 3);
  return (mantissas & 0x00780078) | 0x3f803f80;
}

/// The first operand of a product of 16 inputs: its step of a block, of rows lane / 4 and lane / 4 + 8.
template <int step>
inline void widen(uint32_t (&operand)[4], const uint2& low, const uint2& high) {
  const uint32_t of_low = step / 2 == 0 ? low.x : low.y, of_high = step / 2 == 0 ? high.x : high.y;
  constexpr int pair = step % 2 * 2;
  operand[0] = widened<pair>(of_low), operand[1] = widened<pair>(of_high);
  operand[2] = widened<pair + 1>(of_low), operand[3] = widened<pair + 1>(of_high);
}

/// Two bf16 with two, each rounded.
inline uint32_t add_two(uint32_t a, uint32_t b) {
  uint32_t sums;
  asm("add.rn.bf16x2 %0, %1, %2;" : "=r"(sums) : "r"(a), "r"(b));
  return sums;
}
inline uint32_t multiply_two(uint32_t a, uint32_t b) {
  uint32_t products;
  asm("mul.rn.bf16x2 %0, %1, %2;" : "=r"(products) : "r"(a), "r"(b));
  return products;
}

/// −(1 + z / 16) twice.
inline uint32_t negative_zero(uint32_t zero_point) { return 0xbf80bf80 + zero_point * 0x00080008; }
constexpr uint32_t middle = 8;  // of codes without zero points

inline uint32_t zero_point_of(const WeightGroups& groups, int32_t packed, int32_t group) {
  return ZERO_POINTS ? __ldg(groups.zero_points + static_cast<int64_t>(packed) * groups.count + group) : middle;
}
inline bf16 scale_of(const WeightGroups& groups, int32_t packed, int32_t group) {
  const auto* scales = static_cast<const uint16_t*>(groups.scales);
  return bf16{__ldg(scales + static_cast<int64_t>(packed) * groups.count + group)};
}

}  // namespace incipit
