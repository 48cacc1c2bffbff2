#include "graph/graph.h"
#include "graph/ops/activate.h"
#include "graph/ops/multiply.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {

void merge_gate_up(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    if (!graph.op_as<ops::Multiply>(n)) continue;
    for (const size_t side : {0u, 1u}) {
      const ValueId activated = input_of(graph, n, side);
      if (!graph.producer_as<ops::Activate>(activated)) continue;
      const auto gate = match_projection(graph, input_of(graph, graph.value(activated).producer, 0));
      const auto up = match_projection(graph, input_of(graph, n, 1 - side));
      if (!gate || !up || !can_merge(graph, {*gate, *up})) continue;
      merge_projections(graph, {*gate, *up}, "gate_up_proj");
      break;
    }
  }
}

}  // namespace incipit
