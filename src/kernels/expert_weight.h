// One expert's part of the packed weight of all of them (ExpertLinear).
#pragma once

#include <cstdint>

#include "kernels/weight_layout.h"

namespace incipit {

/// Of the biases of all experts; null where there are none.
inline const float* expert_bias(const float* all, const WeightLayout& layout, const WeightShape& weight,
                                int64_t expert) {
  return all == nullptr ? nullptr : all + expert * OutputOrder(layout, weight.n, weight.pairs).packed_rows();
}

/// `weight` is one expert's; its planes follow those of the experts before it.
inline PackedWeight expert_weight(const PackedWeight& all, const WeightLayout& layout, const WeightShape& weight,
                                  int64_t expert) {
  PackedWeight one = all;
  for (const PlaneShape& plane : planes_of(layout, weight, false)) {
    const int64_t bytes = expert * plane.bytes();
    switch (plane.role) {
      case PlaneRole::values:
      case PlaneRole::codes: one.codes += bytes; break;
      case PlaneRole::scales: one.scales += bytes; break;
      case PlaneRole::zero_points: one.zero_points += bytes; break;
      case PlaneRole::code_sums: one.code_sums += expert * plane.elements; break;
      case PlaneRole::bias: break;
    }
  }
  return one;
}

}  // namespace incipit
