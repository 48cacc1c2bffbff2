// Operators that hold graphs: If, Loop and Scan.
#include <algorithm>

#include "graph/ops/if.h"
#include "graph/ops/loop.h"
#include "graph/ops/scan.h"
#include "import/onnx/call.h"

namespace incipit::onnx {
namespace {

using Values = std::vector<ValueId>;

/// Inputs from `first` on, which must all be there.
Values present(const Call& call, size_t first) {
  Values values;
  for (size_t i = first; i < call.input_count(); ++i) values.push_back(call.input(i));
  return values;
}

std::vector<ValueType> types_of(const Call& call, size_t first) {
  std::vector<ValueType> types;
  for (size_t i = first; i < call.input_count(); ++i) types.push_back(call.type(i));
  return types;
}

Values if_else(Call& call) {
  const Graph &then_branch = call.body("then_branch"), &else_branch = call.body("else_branch");
  // What constants of several axes hold is no part of their type.
  const ConstantPtr& constant = call.graph().value(call.input(0)).constant;
  const bool is_constant = constant != nullptr && constant->dtype() == DType::boolean;
  if (const auto known = is_constant ? std::optional(constant->integers()) : call.known_integers(0)) {
    if (known->size() != 1) call.refuse("has a condition of " + std::to_string(known->size()) + " elements");
    return call.bodies().inline_body(known->front() != 0 ? then_branch : else_branch, {});
  }
  const Body first = call.bodies().make_body(then_branch, {}), second = call.bodies().make_body(else_branch, {});
  Values inputs{call.input(0)};
  inputs.insert(inputs.end(), first.captured.begin(), first.captured.end());
  inputs.insert(inputs.end(), second.captured.begin(), second.captured.end());
  return call.add_op(std::make_unique<ops::If>(first.graph, second.graph), std::move(inputs));
}

/// A body whose first `states` inputs after `types` get what its outputs from `first_output` on make: extents that a
/// step changes are unknown in it.
Body looping_body(Call& call, const Graph& graph, std::vector<ValueType> types, size_t first_state, size_t states,
                  size_t first_output) {
  for (size_t i = first_state; i < types.size(); ++i) types[i].contents.reset();
  // Twice at most: with the extents before the loop, and where a step changes one of them, with all of them unknown.
  for (const bool is_general : {false, true}) {
    if (is_general) {
      for (size_t i = 0; i < states; ++i) {
        std::vector<Dim>& shape = types[first_state + i].shape;
        std::fill(shape.begin(), shape.end(), Dim::unknown());
      }
    }
    Body body = call.bodies().make_body(graph, types);
    const incipit::Graph& made = *body.graph;
    if (made.outputs().size() < first_output + states) call.refuse("has a body with too few outputs");
    bool fits = true;
    for (size_t i = 0; i < states; ++i) {
      const ValueType& after = made.value(made.outputs()[first_output + i]).type;
      const ValueType& before = types[first_state + i];
      if (after.dtype != before.dtype || after.shape.size() != before.shape.size()) {
        call.refuse("carries " + before.text() + ", which a step turns into " + after.text());
      }
      for (size_t axis = 0; axis < after.shape.size(); ++axis) {
        fits = fits && (!before.shape[axis].is_constant() || after.shape[axis] == before.shape[axis]);
      }
    }
    if (fits) return body;
  }
  INCIPIT_ASSERT(!"unknown extents fit whatever a step makes of them");
}

Values loop(Call& call) {
  const Graph& graph = call.body("body");
  if (call.input_count() < 2) call.refuse("has fewer than its 2 inputs");
  const size_t carried = call.input_count() - 2;
  std::vector<ValueType> types{{DType::i64, {}}, {DType::boolean, {}}};
  const std::vector<ValueType> given = types_of(call, 2);
  types.insert(types.end(), given.begin(), given.end());
  const Body body = looping_body(call, graph, types, 2, carried, 1);
  Values inputs{call.optional(0), call.optional(1)};
  const Values values = present(call, 2);
  inputs.insert(inputs.end(), values.begin(), values.end());
  inputs.insert(inputs.end(), body.captured.begin(), body.captured.end());
  return call.add_op(std::make_unique<ops::Loop>(static_cast<int64_t>(carried), body.graph), std::move(inputs));
}

/// An attribute with a number for each sequence or output; all 0 where it is not given.
std::vector<int64_t> number_each(const Call& call, std::string_view name, size_t count) {
  const std::vector<int64_t> numbers = call.integers(name).value_or(std::vector<int64_t>(count, 0));
  if (numbers.size() != count) {
    call.refuse("has " + std::to_string(numbers.size()) + " numbers in '" + std::string(name) + "' instead of " +
                std::to_string(count));
  }
  return numbers;
}

size_t sequence_count(const Call& call, size_t inputs) {
  const int64_t sequences = call.required_integer("num_scan_inputs");
  if (sequences < 1 || static_cast<uint64_t>(sequences) > inputs) {
    call.refuse("has " + std::to_string(inputs) + " inputs, of which it scans " + std::to_string(sequences));
  }
  return static_cast<size_t>(sequences);
}

Values scan(Call& call) {
  const Graph& graph = call.body("body");
  const size_t sequences = sequence_count(call, call.input_count()), states = call.input_count() - sequences;
  if (graph.outputs.size() < states) call.refuse("has a body with too few outputs");
  const size_t collected = graph.outputs.size() - states;
  ops::Scan op;
  op.states = static_cast<int64_t>(states);
  op.input_axes = number_each(call, "scan_input_axes", sequences);
  op.input_reversed = number_each(call, "scan_input_directions", sequences);
  op.output_axes = number_each(call, "scan_output_axes", collected);
  op.output_reversed = number_each(call, "scan_output_directions", collected);
  std::vector<ValueType> types = types_of(call, 0);
  for (size_t i = 0; i < sequences; ++i) {
    std::vector<Dim>& shape = types[states + i].shape;
    const size_t axis = primitives::normal_axis("Scan", op.input_axes[i], shape.size());
    shape.erase(shape.begin() + static_cast<ptrdiff_t>(axis));
  }
  Body body = looping_body(call, graph, types, 0, states, 0);
  op.body = body.graph;
  Values inputs = present(call, 0);
  inputs.insert(inputs.end(), body.captured.begin(), body.captured.end());
  return call.add_op(std::make_unique<ops::Scan>(std::move(op)), std::move(inputs));
}

/// Version 8 has a batch: states [B, …] and sequences [B, length, …], which is a scan of a scan.
Values batched_scan(Call& call) {
  const Graph& graph = call.body("body");
  if (call.has(0)) call.refuse("has lengths for the sequences of its batch, which is not supported");
  if (call.input_count() < 2) call.refuse("has no sequence");
  const size_t inputs = call.input_count() - 1, sequences = sequence_count(call, inputs), states = inputs - sequences;
  if (graph.outputs.size() < states) call.refuse("has a body with too few outputs");
  const size_t collected = graph.outputs.size() - states;
  ops::Scan inner;
  inner.states = static_cast<int64_t>(states);
  inner.input_axes.assign(sequences, 0);
  inner.input_reversed = number_each(call, "directions", sequences);
  inner.output_axes.assign(collected, 0);
  inner.output_reversed.assign(collected, 0);
  std::vector<ValueType> types = types_of(call, 1), step_types;
  for (size_t i = 0; i < inputs; ++i) {
    std::vector<Dim>& shape = types[i].shape;
    if (shape.size() < (i < states ? 1u : 2u)) call.refuse("has an input without a batch or sequence");
    types[i].contents.reset();
    shape.erase(shape.begin());
    step_types.push_back(types[i]);
    if (i >= states) step_types.back().shape.erase(step_types.back().shape.begin());
  }
  const Body body = looping_body(call, graph, step_types, 0, states, 0);
  inner.body = body.graph;

  auto one = std::make_shared<incipit::Graph>();
  Values given;
  const auto add_input = [&](const ValueType& type, const std::string& name) {
    ValueType general{type.dtype, type.shape};
    for (Dim& dim : general.shape) {
      if (!dim.is_constant()) dim = Dim::unknown();
    }
    given.push_back(one->add_input(name, std::move(general)));
  };
  for (const ValueType& type : types) add_input(type, "input");
  for (const ValueId id : body.captured) add_input(call.graph().value(id).type, call.graph().value(id).name);
  one->set_outputs(one->add_node("scan", std::make_unique<ops::Scan>(std::move(inner)), std::move(given)));

  ops::Scan outer;
  outer.input_axes.assign(inputs, 0);
  outer.input_reversed.assign(inputs, 0);
  outer.output_axes.assign(states + collected, 0);
  outer.output_reversed.assign(states + collected, 0);
  outer.body = std::move(one);
  Values values = present(call, 1);
  values.insert(values.end(), body.captured.begin(), body.captured.end());
  return call.add_op(std::make_unique<ops::Scan>(std::move(outer)), std::move(values));
}

Values any_scan(Call& call) { return call.opset() < 9 ? batched_scan(call) : scan(call); }

constexpr Translation control_table[] = {{"", "If", if_else}, {"", "Loop", loop}, {"", "Scan", any_scan}};

}  // namespace

std::span<const Translation> control_translations() { return control_table; }

}  // namespace incipit::onnx
