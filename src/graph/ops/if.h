// One of two graphs.
#pragma once

#include "graph/ops/body.h"

namespace incipit::ops {

/// condition bool[], what the first branch captures …, what the second captures … → the outputs of the one that was
/// taken. Both have as many, of the same dtypes and ranks. Source: ONNX's If.
struct If : OpBase<If> {
  static constexpr std::string_view op_name = "If";
  BodyPtr then_branch, else_branch;
  If(BodyPtr then_body, BodyPtr else_body) : then_branch(std::move(then_body)), else_branch(std::move(else_body)) {}
  std::vector<std::pair<std::string_view, const Graph*>> bodies() const override;
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool shapes_follow_values() const override { return true; }
};

}  // namespace incipit::ops
