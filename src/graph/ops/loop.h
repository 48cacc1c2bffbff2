// A graph run again and again.
#pragma once

#include "graph/ops/body.h"

namespace incipit::ops {

/// trip_count? i64[], condition? bool[], `carried` values …, what the body captures … → the carried values after the
/// last step, then each other output of the body's steps stacked along a new first axis.
/// Body: step i64[], condition bool[], carried values …, captured … → condition bool[], carried values …, others ….
/// It ends after trip_count steps, or when the condition is false. Source: ONNX's Loop.
struct Loop : OpBase<Loop> {
  static constexpr std::string_view op_name = "Loop";
  int64_t carried = 0;
  BodyPtr body;
  Loop(int64_t carried_values, BodyPtr steps) : carried(carried_values), body(std::move(steps)) {}
  template <typename V>
  void fields(V& v) {
    v.visit("carried", carried);
  }
  std::vector<std::pair<std::string_view, const Graph*>> bodies() const override { return {{"body", body.get()}}; }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool shapes_follow_values() const override { return true; }

 private:
  /// Types of the body's outputs in any step; `carried_types` become those of the carried values.
  std::vector<ValueType> step_types(std::span<const ValueType> inputs, std::vector<ValueType>& carried_types) const;
};

}  // namespace incipit::ops
