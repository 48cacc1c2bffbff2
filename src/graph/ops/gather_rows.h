// Chosen rows.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x [T, W] or [T] of any dtype, rows i32[R] → [R, W] or [R]: x[rows[r]].
struct GatherRows : OpBase<GatherRows> {
  static constexpr std::string_view op_name = "GatherRows";
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
};

}  // namespace incipit::ops
