#include "graph/graph.h"
#include "graph/ops/activate.h"
#include "graph/ops/linear.h"
#include "graph/ops/multiply.h"
#include "graph/ops/rule.h"
#include "graph/ops/slice_columns.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {
namespace {

/// The value that `slice` takes columns from `first` on of, where it is their only use; else none.
ValueId sliced_from(const Graph& graph, ValueId slice, int64_t first) {
  const auto* op = graph.producer_as<ops::SliceColumns>(slice);
  if (op == nullptr || op->first != first || graph.use_count(slice) != 1) return none;
  return input_of(graph, graph.value(slice).producer, 0);
}

bool fuse(Graph& graph, NodeId multiply, size_t side) {
  const ValueId activated = input_of(graph, multiply, side), up = input_of(graph, multiply, 1 - side);
  const auto* activate = graph.producer_as<ops::Activate>(activated);
  if (activate == nullptr || graph.use_count(activated) != 1 || !ops::is_gate(activate->kind + "_gate")) return false;
  const ValueId gate = input_of(graph, graph.value(activated).producer, 0);
  const ValueId merged = sliced_from(graph, gate, 0);
  if (merged == none || graph.use_count(merged) != 2) return false;
  const int64_t width = graph.producer_as<ops::SliceColumns>(gate)->count;
  const auto projection = match_projection(graph, merged);
  if (!projection || sliced_from(graph, up, width) != merged ||
      graph.value(projection->weight).constant->rows() != 2 * width) {
    return false;
  }
  ops::Linear linear;
  linear.activation = activate->kind + "_gate";
  const ValueId fused = graph.insert(multiply, graph.node(graph.value(projection->product).producer).name, linear,
                                     {projection->x, projection->weight, projection->bias});
  substitute(graph, graph.node(multiply).outputs[0], fused);
  for (const ValueId dead : {activated, gate, up, merged}) remove_if_unused(graph, dead);
  if (projection->product != merged) remove_if_unused(graph, projection->product);
  return true;
}

}  // namespace

void fuse_gate(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    if (graph.node(n).op == nullptr || !graph.op_as<ops::Multiply>(n)) continue;
    if (!fuse(graph, n, 0)) fuse(graph, n, 1);
  }
}

}  // namespace incipit
