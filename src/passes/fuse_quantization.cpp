#include "graph/graph.h"
#include "graph/ops/quantize_rows.h"
#include "graph/ops/quantized_linear.h"
#include "graph/ops/slice_columns.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {
namespace {

/// The product that alone reads both results of a QuantizeRows; none where there is no such.
NodeId only_product(const Graph& graph, NodeId quantize) {
  const std::vector<ValueId>& rows = graph.node(quantize).outputs;
  for (const ValueId result : rows) {
    if (graph.use_count(result) != 1 || graph.is_output(result)) return none;
  }
  const auto [product, index] = graph.uses(rows[0]).front();
  const bool fits = graph.op_as<ops::QuantizedLinear>(product) && index == 0 && input_of(graph, product, 1) == rows[1];
  return fits ? product : none;
}

}  // namespace

void fuse_quantization(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    const auto* quantize = graph.op_as<ops::QuantizeRows>(n);
    if (quantize == nullptr || quantize->groups != 1) continue;
    const ValueId x = input_of(graph, n, 0);
    // A product reads whole buffers: columns of one would have to be copied first.
    if (graph.producer_as<ops::SliceColumns>(x)) continue;
    const NodeId product = only_product(graph, n);
    if (product == none) continue;
    graph.set_input(product, 0, x);
    graph.set_input(product, 1, none);
    graph.remove_node(n);
  }
}

}  // namespace incipit
