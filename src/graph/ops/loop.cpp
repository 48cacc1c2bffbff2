#include "graph/ops/loop.h"

#include <algorithm>

#include "primitives/primitive.h"

namespace incipit::ops {
namespace {

// A reference that never ends helps nobody.
constexpr int64_t most_steps = 1'000'000;

Tensor scalar(DType dtype, int64_t value) {
  Tensor tensor(dtype, {});
  if (dtype == DType::boolean) {
    tensor.as<uint8_t>()[0] = value != 0 ? 1 : 0;
  } else {
    tensor.as<int64_t>()[0] = value;
  }
  return tensor;
}

}  // namespace

std::vector<ValueType> Loop::step_types(std::span<const ValueType> inputs,
                                        std::vector<ValueType>& carried_types) const {
  BodyRule(op_name).require(carried >= 0 && static_cast<size_t>(carried) < body->outputs().size(),
                            "has a body with fewer outputs than values that it carries");
  const auto count = static_cast<size_t>(carried);
  const std::span<const ValueType> given = from(op_name, inputs, 2);
  BodyRule(op_name).require(given.size() >= count, "has too few inputs");
  if (!inputs[0].is_absent) require_single(op_name, inputs[0], DType::i64, "its trip count");
  if (!inputs[1].is_absent) require_single(op_name, inputs[1], DType::boolean, "its condition");
  const auto step = [&](const std::vector<ValueType>& types) {
    std::vector<ValueType> arguments{{DType::i64, {}}, {DType::boolean, {}}};
    arguments.insert(arguments.end(), types.begin(), types.end());
    arguments.insert(arguments.end(), given.begin() + carried, given.end());
    return infer_body(op_name, *body, arguments);
  };
  carried_types = settled_types(op_name, given.first(count), [&](const std::vector<ValueType>& types) {
    std::vector<ValueType> made = step(types);
    made.erase(made.begin());
    return made;
  });
  std::vector<ValueType> made = step(carried_types);
  require_single(op_name, made[0], DType::boolean, "its body's condition");
  return made;
}

std::vector<ValueType> Loop::infer(std::span<const ValueType> inputs) const {
  std::vector<ValueType> types;
  const std::vector<ValueType> made = step_types(inputs, types);
  for (size_t i = 1 + static_cast<size_t>(carried); i < made.size(); ++i) {
    ValueType stack{made[i].dtype, made[i].shape};
    stack.shape.insert(stack.shape.begin(), Dim::unknown());
    types.push_back(std::move(stack));
  }
  return types;
}

void Loop::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const {
  const auto count = static_cast<size_t>(carried);
  const int64_t trips = inputs[0] == nullptr ? INT64_MAX : single(op_name, *inputs[0]);
  Tensor condition = scalar(DType::boolean, inputs[1] == nullptr ? 1 : single(op_name, *inputs[1]));
  std::vector<Tensor> state(count);
  std::vector<const Tensor*> arguments(inputs.begin(), inputs.end());
  std::vector<std::vector<Tensor>> collected(outputs.size() - count);
  for (int64_t step = 0; step < trips && single(op_name, condition) != 0; ++step) {
    BodyRule(op_name).require(step < most_steps, "does not end within " + std::to_string(most_steps) + " steps");
    const Tensor number = scalar(DType::i64, step);
    arguments[0] = &number;
    arguments[1] = &condition;
    std::vector<Tensor> made = interpret(*body, arguments, cache);
    condition = scalar(DType::boolean, single(op_name, made[0]));
    for (size_t i = 0; i < count; ++i) {
      state[i] = std::move(made[1 + i]);
      arguments[2 + i] = &state[i];
    }
    for (size_t i = 0; i < collected.size(); ++i) collected[i].push_back(std::move(made[1 + count + i]));
  }
  std::vector<ValueType> part_types;
  for (size_t i = 0; i < collected.size(); ++i) {
    if (!collected[i].empty()) {
      outputs[count + i] = stacked(op_name, collected[i], 0);
      continue;
    }
    if (part_types.empty()) {
      std::vector<ValueType> given(2, ValueType::absent()), carried_types;
      for (const Tensor* input : inputs.subspan(2)) given.push_back(type_of(*input));
      part_types = step_types(given, carried_types);
    }
    outputs[count + i] = stacked_nothing(part_types[1 + count + i], 0);
  }
  for (size_t i = 0; i < count; ++i) {
    outputs[i] = arguments[2 + i] == inputs[2 + i] ? primitives::copy_of(*inputs[2 + i]) : std::move(state[i]);
  }
}

}  // namespace incipit::ops
