#include "graph/graph.h"
#include "graph/ops/activate.h"
#include "graph/ops/add.h"
#include "graph/ops/linear.h"
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
  if (linear.output != "f32" || inputs[residual_input] != none || graph.use_count(result) != 1) return false;
  if (graph.is_output(result)) return false;
  const auto [user, index] = graph.uses(result).front();
  const bool bare = linear.activation == "none";
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

}  // namespace

void fuse_epilogues(Graph& graph, const PassContext&) {
  // A fused Linear takes the place of its user, later in the order: it is met again there.
  for (size_t i = 0; i < graph.order().size();) {
    const NodeId n = graph.order()[i];
    if (!graph.op_as<ops::Linear>(n) || !absorb_user(graph, n)) ++i;
  }
}

}  // namespace incipit
