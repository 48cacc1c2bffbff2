#include "graph/ops/scan.h"

#include <algorithm>

#include "primitives/primitive.h"
#include "primitives/rule.h"

namespace incipit::ops {

Scan::Steps Scan::steps(std::span<const ValueType> inputs) const {
  const size_t sequences = input_axes.size(), count = static_cast<size_t>(states);
  BodyRule(op_name).require(
      states >= 0 && count <= inputs.size() && sequences >= 1 && input_reversed.size() == sequences,
      "has other inputs than its body");
  const size_t made = body->outputs().size();
  BodyRule(op_name).require(
      count <= made && output_axes.size() == made - count && output_reversed.size() == made - count,
      "has a body with other outputs");
  const std::span<const ValueType> given = from(op_name, inputs, count + sequences);
  const primitives::Rule rule(op_name, inputs, count + sequences);
  std::vector<ValueType> slices;
  Steps result;
  result.length = Dim::unknown();
  for (size_t i = 0; i < sequences; ++i) {
    const ValueType& sequence = rule.type(count + i);
    const size_t axis = rule.axis(input_axes[i], sequence.shape.size());
    result.length = i == 0 ? sequence.shape[axis] : same_extent(rule, result.length, sequence.shape[axis]);
    ValueType slice{sequence.dtype, sequence.shape};
    slice.shape.erase(slice.shape.begin() + static_cast<ptrdiff_t>(axis));
    slices.push_back(std::move(slice));
  }
  const auto step = [&](const std::vector<ValueType>& types) {
    std::vector<ValueType> arguments = types;
    arguments.insert(arguments.end(), slices.begin(), slices.end());
    arguments.insert(arguments.end(), given.begin(), given.end());
    return infer_body(op_name, *body, arguments);
  };
  result.states = settled_types(op_name, inputs.first(count), step);
  result.outputs = step(result.states);
  return result;
}

std::vector<ValueType> Scan::infer(std::span<const ValueType> inputs) const {
  Steps made = steps(inputs);
  std::vector<ValueType> types = std::move(made.states);
  for (size_t i = 0; i < output_axes.size(); ++i) {
    const ValueType& part = made.outputs[static_cast<size_t>(states) + i];
    const primitives::Rule rule(op_name, inputs, 0);
    ValueType stack{part.dtype, part.shape};
    const size_t axis = rule.axis(output_axes[i], part.shape.size() + 1);
    stack.shape.insert(stack.shape.begin() + static_cast<ptrdiff_t>(axis), made.length);
    types.push_back(std::move(stack));
  }
  return types;
}

void Scan::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const {
  const auto count = static_cast<size_t>(states);
  const auto sequence = [&](size_t i) -> const Tensor& { return *inputs[count + i]; };
  const auto axis_of = [&](size_t i) {
    return primitives::normal_axis(op_name, input_axes[i], sequence(i).shape().size());
  };
  const int64_t length = sequence(0).shape()[axis_of(0)];
  for (size_t i = 1; i < input_axes.size(); ++i) {
    BodyRule(op_name).require(sequence(i).shape()[axis_of(i)] == length, "has sequences of different lengths");
  }
  std::vector<Tensor> state(count), slices(input_axes.size());
  std::vector<const Tensor*> arguments(inputs.begin(), inputs.end());
  std::vector<std::vector<Tensor>> collected(output_axes.size());
  for (int64_t step = 0; step < length; ++step) {
    for (size_t i = 0; i < slices.size(); ++i) {
      slices[i] = slice_at(sequence(i), axis_of(i), input_reversed[i] != 0 ? length - 1 - step : step);
      arguments[count + i] = &slices[i];
    }
    std::vector<Tensor> made = interpret(*body, arguments, cache);
    for (size_t i = 0; i < count; ++i) {
      state[i] = std::move(made[i]);
      arguments[i] = &state[i];
    }
    for (size_t i = 0; i < collected.size(); ++i) collected[i].push_back(std::move(made[count + i]));
  }
  std::vector<ValueType> part_types;
  for (size_t i = 0; i < collected.size(); ++i) {
    if (collected[i].empty()) {
      if (part_types.empty()) {
        std::vector<ValueType> given;
        for (const Tensor* input : inputs) given.push_back(type_of(*input));
        part_types = steps(given).outputs;
      }
      const ValueType& part = part_types[count + i];
      outputs[count + i] =
          stacked_nothing(part, primitives::normal_axis(op_name, output_axes[i], part.shape.size() + 1));
      continue;
    }
    if (output_reversed[i] != 0) std::reverse(collected[i].begin(), collected[i].end());
    const size_t rank = collected[i].front().shape().size();
    outputs[count + i] = stacked(op_name, collected[i], primitives::normal_axis(op_name, output_axes[i], rank + 1));
  }
  for (size_t i = 0; i < count; ++i) {
    outputs[i] = length == 0 ? primitives::copy_of(*inputs[i]) : std::move(state[i]);
  }
}

}  // namespace incipit::ops
