#include "graph/graph.h"
#include "graph/ops/add.h"
#include "graph/ops/add_rms_norm.h"
#include "graph/ops/rms_norm.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {

void fuse_residual_norm(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    const auto* norm = graph.op_as<ops::RmsNorm>(n);
    if (norm == nullptr || norm->output != DType::f32 || norm->groups != 1) continue;
    const ValueId sum = input_of(graph, n, 0), gain = input_of(graph, n, 1);
    if (!graph.producer_as<ops::Add>(sum) || (gain != none && !is_constant(graph, gain))) continue;
    const NodeId add = graph.value(sum).producer;
    const ValueId x = input_of(graph, add, 0), y = input_of(graph, add, 1);
    const ValueType& type = graph.value(sum).type;
    if (graph.value(x).type != type || graph.value(y).type != type) continue;
    auto fused = std::make_unique<ops::AddRmsNorm>();
    fused->epsilon = norm->epsilon;
    const std::vector<ValueId> outputs = graph.insert_node(add, graph.node(n).name, std::move(fused), {x, y, gain});
    substitute(graph, graph.node(n).outputs[0], outputs[1]);
    substitute(graph, sum, outputs[0]);
  }
}

}  // namespace incipit
