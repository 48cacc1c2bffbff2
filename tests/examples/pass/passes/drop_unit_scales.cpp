#include "graph/graph.h"
#include "graph/ops/scale.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {

void drop_unit_scales(Graph& graph, const PassContext&) {
  const std::vector<NodeId> order = graph.order();
  for (const NodeId n : order) {
    const auto* scale = graph.op_as<ops::Scale>(n);
    if (scale != nullptr && scale->factor == 1) substitute(graph, graph.node(n).outputs[0], input_of(graph, n, 0));
  }
}

}  // namespace incipit
