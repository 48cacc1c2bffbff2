// Primitives that change nothing go: exporters leave many of them, and recognition would have to look past each.
#include <algorithm>
#include <numeric>

#include "passes/passes.h"
#include "passes/primitive_match.h"
#include "passes/rewrite.h"

namespace incipit {
namespace {

std::vector<int64_t> order_of(const ops::Transpose& op, size_t rank) {
  std::vector<int64_t> order = op.perm;
  if (order.empty()) {
    order.resize(rank);
    std::iota(order.rbegin(), order.rend(), 0);
  }
  return order;
}

bool has_positive_steps(const Graph& graph, NodeId n) {
  const ValueId steps = input_of(graph, n, 4);
  if (steps == none) return true;
  const auto numbers = known_integers(graph, steps);
  return numbers && std::all_of(numbers->begin(), numbers->end(), [](int64_t step) { return step > 0; });
}

// The other operand of arithmetic with the number that changes nothing.
ValueId beside_neutral(const Graph& graph, ValueId result, const ops::Binary& op) {
  const bool is_product = op.function == op.mul || op.function == op.div;
  if (!is_product && op.function != op.add && op.function != op.sub) return none;
  const auto operand = match_with_number(graph, result, op.function);
  return operand && operand->number == (is_product ? 1 : 0) ? operand->value : none;
}

// What the node's first output is already; none where it is something new.
ValueId unchanged(const Graph& graph, NodeId n) {
  const Node& node = graph.node(n);
  if (node.inputs.empty() || node.inputs[0] == none) return none;
  const ValueId input = node.inputs[0], output = node.outputs[0];
  const auto has_its_type = [&](ValueId value) {
    return value != none && graph.value(value).type.dtype == graph.value(output).type.dtype &&
           graph.value(value).type.shape == graph.value(output).type.shape;
  };
  if (const auto* op = graph.op_as<ops::Binary>(n)) {
    const ValueId operand = beside_neutral(graph, output, *op);
    return has_its_type(operand) ? operand : none;
  }
  if (graph.op_as<ops::Concat>(n)) {
    // The only part that has elements has all of them.
    for (const ValueId part : node.inputs) {
      if (has_its_type(part)) return part;
    }
    return none;
  }
  if (!has_its_type(input)) return none;
  if (graph.op_as<ops::Cast>(n) || graph.op_as<ops::Reshape>(n) || graph.op_as<ops::Squeeze>(n) ||
      graph.op_as<ops::Unsqueeze>(n) || graph.op_as<ops::Flatten>(n) || graph.op_as<ops::Expand>(n)) {
    return input;
  }
  if (graph.op_as<ops::Slice>(n)) return has_positive_steps(graph, n) ? input : none;
  if (is_idle_dropout(graph, n)) return input;
  if (const auto* op = graph.op_as<ops::Transpose>(n)) {
    const std::vector<int64_t> order = order_of(*op, rank_of(graph, input));
    return std::is_sorted(order.begin(), order.end()) ? input : none;
  }
  return none;
}

}  // namespace

void simplify_primitives(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    const Node& node = graph.node(n);
    if (!node.op->shapes_follow_values()) continue;
    if (const ValueId same = unchanged(graph, n); same != none) {
      replace(graph, node.outputs[0], same);
      continue;
    }
    const auto* turn = graph.op_as<ops::Transpose>(n);
    if (turn == nullptr || graph.producer_as<ops::Transpose>(node.inputs[0]) == nullptr) continue;
    const ValueId output = node.outputs[0], input = node.inputs[0];
    replace(graph, output, transposed(graph, n, input, order_of(*turn, rank_of(graph, input))));
  }
  graph.remove_unused();
}

}  // namespace incipit
