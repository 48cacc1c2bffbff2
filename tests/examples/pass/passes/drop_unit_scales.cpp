#include "graph/graph.h"
#include "graph/ops/scale.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {

void drop_unit_scales(Graph& graph, const PassContext&) {
  const std::vector<NodeId> order = graph.order();
  for (const NodeId n : order) {
    const auto* scale = graph.op_as<ops::Scale>(n);
    if (scale == nullptr || scale->factor != 1) continue;
    const ValueId scaled = input_of(graph, n, 0);
    // An input of the graph or a constant keeps its name.
    if (graph.value(scaled).producer != none) substitute(graph, graph.node(n).outputs[0], scaled);
  }
}

}  // namespace incipit
