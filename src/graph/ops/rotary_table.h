// Cosines and sines that all layers of one rotary base share.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// position i32[N], inverse_frequency [pairs] → f32[N, 2·pairs]: factor·cos of every angle, then factor·sin. The
/// factor grows with the position as Rotary's.
/// Angles are formed in double from the f32 frequency: exact for any position.
struct RotaryTable : OpBase<RotaryTable> {
  static constexpr std::string_view op_name = "RotaryTable";
  float factor = 1, growth = 0;
  int64_t growth_length = 1;
  template <typename V>
  void fields(V& v) {
    v.visit("factor", factor), v.visit("growth", growth), v.visit("growth_length", growth_length);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
