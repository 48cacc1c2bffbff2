#include <algorithm>
#include <optional>

#include "graph/graph.h"
#include "graph/ops/activate.h"
#include "graph/ops/add.h"
#include "graph/ops/linear.h"
#include "graph/ops/weighted_sum.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {
namespace {

// Linear's inputs.
constexpr size_t bias_input = 2, residual_input = 3;

/// Moves the one op that uses the Linear's result into it, when the epilogue's order (bias, activation, residual) still
/// has room for it.
bool absorb_user(Graph& graph, NodeId node) {
  ops::Linear linear = *graph.op_as<ops::Linear>(node);
  std::vector<ValueId> inputs = graph.node(node).inputs;
  inputs.resize(4, none);
  const ValueId result = graph.node(node).outputs[0];
  if (linear.output != DType::f32 || inputs[residual_input] != none || graph.use_count(result) != 1) return false;
  if (graph.is_output(result)) return false;
  const auto [user, index] = graph.uses(result).front();
  const bool bare = linear.activation == Activation::none;
  if (graph.op_as<ops::Add>(user)) {
    const ValueId other = input_of(graph, user, index == 0 ? 1 : 0);
    if (is_constant_vector(graph, other) && index == 0) {
      if (!bare || inputs[bias_input] != none) return false;
      inputs[bias_input] = other;
    } else if (graph.value(other).type == graph.value(result).type) {
      inputs[residual_input] = other;
    } else {
      return false;
    }
  } else if (const auto* activate = graph.op_as<ops::Activate>(user)) {
    if (!bare) return false;
    linear.activation = activate->kind;
  } else {
    return false;
  }
  const ValueId fused = graph.insert(user, graph.node(node).name, linear, std::move(inputs));
  substitute(graph, graph.node(user).outputs[0], fused);
  graph.remove_node(node);
  return true;
}

/// The one sum with another matrix of its type that uses `value`, or none.
NodeId residual_sum(const Graph& graph, ValueId value) {
  if (graph.use_count(value) != 1 || graph.is_output(value)) return none;
  const auto [user, index] = graph.uses(value).front();
  if (!graph.op_as<ops::Add>(user)) return none;
  const ValueId other = input_of(graph, user, index == 0 ? 1 : 0);
  return other != value && graph.value(other).type == graph.value(value).type ? user : none;
}

ValueId other_operand(const Graph& graph, NodeId sum, ValueId operand) {
  return input_of(graph, sum, input_of(graph, sum, 0) == operand ? 1 : 0);
}

/// Moves the sum behind the experts' sum into it.
bool absorb_residual(Graph& graph, NodeId node) {
  const ValueId result = graph.node(node).outputs[0];
  const NodeId sum = residual_sum(graph, result);
  if (sum == none || input_of(graph, node, 2) != none) return false;
  std::vector<ValueId> inputs = graph.node(node).inputs;
  inputs.resize(2);
  inputs.push_back(other_operand(graph, sum, result));
  const ValueId fused = graph.insert(sum, graph.node(node).name, ops::WeightedSum{}, std::move(inputs));
  substitute(graph, graph.node(sum).outputs[0], fused);
  graph.remove_node(node);
  return true;
}

/// The input for a residual of an op that takes one.
std::optional<size_t> place_of_residual(const Graph& graph, NodeId node) {
  if (const auto* linear = graph.op_as<ops::Linear>(node); linear && linear->output == DType::f32)
    return residual_input;
  if (graph.op_as<ops::WeightedSum>(node)) return 2;
  return std::nullopt;
}

/// Attention and MLP side by side, or experts and a shared MLP: where the residual of a product or of the experts' sum
/// is another one's result, the next sum goes into that one, for a + (b + x) is (a + x) + b.
bool pass_on_residual(Graph& graph, NodeId node) {
  const ValueId result = graph.node(node).outputs[0];
  const NodeId sum = residual_sum(graph, result);
  const std::optional<size_t> own_place = place_of_residual(graph, node);
  if (sum == none || !own_place) return false;
  ValueId residual = input_of(graph, node, *own_place);
  while (residual != none) {
    const NodeId other = graph.value(residual).producer;
    if (other == none || graph.use_count(residual) != 1) return false;
    const std::optional<size_t> place = place_of_residual(graph, other);
    if (!place) return false;
    residual = input_of(graph, other, *place);
    if (residual != none) continue;
    std::vector<ValueId> inputs = graph.node(other).inputs;
    inputs.resize(std::max(inputs.size(), *place + 1), none);
    inputs[*place] = other_operand(graph, sum, result);
    const ValueId fused =
        graph.insert_node(other, graph.node(other).name, graph.node(other).op->clone(), std::move(inputs))[0];
    substitute(graph, graph.node(other).outputs[0], fused);
    substitute(graph, graph.node(sum).outputs[0], result);
    graph.sort();
    return true;
  }
  return false;
}

}  // namespace

void fuse_epilogues(Graph& graph, const PassContext&) {
  // A fused node takes the place of its user, later in the order: it is met again there.
  for (size_t i = 0; i < graph.order().size();) {
    const NodeId n = graph.order()[i];
    if (graph.op_as<ops::Linear>(n) && absorb_user(graph, n)) continue;
    if (graph.op_as<ops::WeightedSum>(n) && absorb_residual(graph, n)) continue;
    if (pass_on_residual(graph, n)) {
      i = 0;  // what was not met yet may stand earlier now
      continue;
    }
    ++i;
  }
}

}  // namespace incipit
