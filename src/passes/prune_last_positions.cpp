#include <algorithm>
#include <optional>

#include "graph/graph.h"
#include "graph/ops/gather_rows.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {
namespace {

/// The GatherRows of `value` by `rows`: the one there is, or a new one before `place`.
ValueId gathered(Graph& graph, ValueId value, ValueId rows, NodeId place) {
  for (const auto& [user, index] : graph.uses(value)) {
    if (graph.op_as<ops::GatherRows>(user) && index == 0 && input_of(graph, user, 1) == rows) {
      return graph.node(user).outputs[0];
    }
  }
  return graph.insert(place, graph.value(value).name + ".sampled", ops::GatherRows{}, {value, rows});
}

/// Whether the op before the gather can work on the gathered rows alone: it is row-wise, nothing else needs its
/// results, and each of its inputs is a constant, a cache, or has the rows that are gathered from.
bool can_move_up(const Graph& graph, NodeId gather) {
  const ValueId x = input_of(graph, gather, 0), rows = input_of(graph, gather, 1);
  const NodeId producer = graph.value(x).producer;
  if (producer == none) return false;
  const Node& node = graph.node(producer);
  if (!node.op->is_row_wise()) return false;
  for (const ValueId output : node.outputs) {
    if (graph.is_output(output)) return false;
    for (const auto& [user, index] : graph.uses(output)) {
      if (!graph.op_as<ops::GatherRows>(user) || index != 0 || input_of(graph, user, 1) != rows) return false;
    }
  }
  const Dim& count = graph.value(x).type.shape.front();
  if (count.is_constant()) return false;
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
    if (input == none || is_constant(graph, input) || graph.value(input).type.is_cache) return true;
    const std::vector<Dim>& shape = graph.value(input).type.shape;
    return !shape.empty() && shape.front() == count;
  });
}

void move_up(Graph& graph, NodeId gather) {
  const ValueId rows = input_of(graph, gather, 1);
  const NodeId producer = graph.value(input_of(graph, gather, 0)).producer;
  std::vector<ValueId> inputs = graph.node(producer).inputs;
  for (ValueId& input : inputs) {
    if (input == none || is_constant(graph, input) || graph.value(input).type.is_cache) continue;
    input = gathered(graph, input, rows, gather);
  }
  const std::vector<ValueId> old = graph.node(producer).outputs;
  const std::vector<ValueId> moved =
      graph.insert_node(gather, graph.node(producer).name, graph.node(producer).op->clone(), std::move(inputs));
  std::vector<std::string> names;
  for (size_t i = 0; i < old.size(); ++i) {
    names.push_back(graph.value(old[i]).name);
    // Every gather of a value by these rows is the same value.
    for (const auto& [user, index] : graph.uses(old[i])) {
      graph.replace_uses(graph.node(user).outputs[0], moved[i]);
      graph.remove_node(user);
    }
  }
  graph.remove_node(producer);
  for (size_t i = 0; i < moved.size(); ++i) graph.rename(moved[i], std::move(names[i]));
}

std::optional<NodeId> next_gather(const Graph& graph) {
  for (auto n = graph.order().rbegin(); n != graph.order().rend(); ++n) {
    if (graph.op_as<ops::GatherRows>(*n) && can_move_up(graph, *n)) return *n;
  }
  return std::nullopt;
}

}  // namespace

void prune_last_positions(Graph& graph, const PassContext&) {
  while (const std::optional<NodeId> gather = next_gather(graph)) {
    move_up(graph, *gather);
    graph.sort();
  }
}

}  // namespace incipit
