#include "graph/graph.h"
#include "graph/ops/kv_write.h"
#include "graph/ops/linear.h"
#include "graph/ops/quantized_linear.h"
#include "graph/ops/slice_columns.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {
namespace {

/// A value that is columns of another, and has one use.
const ops::SliceColumns* only_slice(const Graph& graph, ValueId value) {
  return graph.use_count(value) == 1 ? graph.producer_as<ops::SliceColumns>(value) : nullptr;
}

/// Whether a value is what a product makes, without activation or residual.
bool is_plain_product(const Graph& graph, ValueId value) {
  if (const auto* linear = graph.producer_as<ops::Linear>(value)) {
    return linear->activation == Activation::none && input_of(graph, graph.value(value).producer, 3) == none;
  }
  const auto* quantized = graph.producer_as<ops::QuantizedLinear>(value);
  return quantized != nullptr && quantized->activation == Activation::none &&
         input_of(graph, graph.value(value).producer, 5) == none;
}

/// Whether nothing but the write reads columns of `product` from `first` on.
bool has_no_other_reader(const Graph& graph, ValueId product, int64_t first, NodeId write) {
  if (graph.is_output(product)) return false;
  for (const auto& [reader, index] : graph.uses(product)) {
    const auto* slice = graph.op_as<ops::SliceColumns>(reader);
    if (slice == nullptr) return false;
    if (slice->first + slice->count <= first) continue;
    const auto uses = graph.uses(graph.node(reader).outputs[0]);
    if (uses.size() != 1 || uses.front().first != write) return false;
  }
  return true;
}

}  // namespace

void fuse_kv_write(Graph& graph, const PassContext&) {
  for (const NodeId n : graph.order()) {
    const auto* write = graph.op_as<ops::KvWrite>(n);
    if (write == nullptr) continue;
    const ValueId keys = input_of(graph, n, 0), values = input_of(graph, n, 1);
    const ops::SliceColumns *k = only_slice(graph, keys), *v = only_slice(graph, values);
    if (k == nullptr || v == nullptr) continue;
    const ValueId product = input_of(graph, graph.value(keys).producer, 0);
    const std::vector<Dim>& shape = graph.value(product).type.shape;
    const bool are_last = input_of(graph, graph.value(values).producer, 0) == product &&
                          k->first + k->count == v->first && shape.back() == Dim(v->first + v->count);
    if (!are_last || !is_plain_product(graph, product) || !has_no_other_reader(graph, product, k->first, n)) continue;
    graph.change<ops::KvWrite>(n, [](ops::KvWrite& changed) { changed.by_product = true; });
  }
}

}  // namespace incipit
