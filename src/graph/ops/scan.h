// A graph run for each slice of a sequence.
#pragma once

#include "graph/ops/body.h"

namespace incipit::ops {

/// `states` values …, sequences …, what the body captures … → the states after the last step, then each other output of
/// the steps stacked along a new axis.
/// Body: states …, a slice of each sequence …, captured … → states …, others ….
/// Sequence i is cut along input_axes[i], from its end where input_reversed[i] is not 0; outputs likewise. All
/// sequences have one length. Source: ONNX's Scan, version 9.
struct Scan : OpBase<Scan> {
  static constexpr std::string_view op_name = "Scan";
  int64_t states = 0;
  std::vector<int64_t> input_axes, input_reversed;    // a sequence each
  std::vector<int64_t> output_axes, output_reversed;  // one each for other outputs
  BodyPtr body;
  template <typename V>
  void fields(V& v) {
    v.visit("states", states), v.visit("input_axes", input_axes), v.visit("input_reversed", input_reversed);
    v.visit("output_axes", output_axes), v.visit("output_reversed", output_reversed);
  }
  std::vector<std::pair<std::string_view, const Graph*>> bodies() const override { return {{"body", body.get()}}; }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool shapes_follow_values() const override { return true; }

 private:
  struct Steps {
    std::vector<ValueType> states, outputs;  // the body's outputs in any step
    Dim length;
  };
  Steps steps(std::span<const ValueType> inputs) const;
};

}  // namespace incipit::ops
