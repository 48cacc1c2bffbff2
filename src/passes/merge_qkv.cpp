#include "graph/graph.h"
#include "graph/ops/apply_rotary.h"
#include "graph/ops/attention.h"
#include "graph/ops/kv_write.h"
#include "graph/ops/layer_norm.h"
#include "graph/ops/rms_norm.h"
#include "graph/ops/rotary.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {
namespace {

/// The product behind an input of attention, with or without a norm and rotary between.
std::optional<Projection> projection_behind(const Graph& graph, ValueId value) {
  while (graph.producer_as<ops::Rotary>(value) || graph.producer_as<ops::ApplyRotary>(value) ||
         graph.producer_as<ops::RmsNorm>(value) || graph.producer_as<ops::LayerNorm>(value)) {
    if (graph.use_count(value) != 1) return std::nullopt;
    value = input_of(graph, graph.value(value).producer, 0);
  }
  return match_projection(graph, value);
}

}  // namespace

void merge_qkv(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    if (!graph.op_as<ops::Attention>(n)) continue;
    const ValueId cache = input_of(graph, n, 2);
    if (!graph.producer_as<ops::KvWrite>(cache)) continue;
    const NodeId write = graph.value(cache).producer;
    const std::optional<Projection> q = projection_behind(graph, input_of(graph, n, 0));
    const std::optional<Projection> k = projection_behind(graph, input_of(graph, write, 0));
    const std::optional<Projection> v = projection_behind(graph, input_of(graph, write, 1));
    if (!k || !v) continue;
    // The last layer's query is of sampled rows only, so there k and v share an input without q.
    if (q && can_merge(graph, {*q, *k, *v})) {
      merge_projections(graph, {*q, *k, *v}, "qkv_proj");
    } else if (can_merge(graph, {*k, *v})) {
      merge_projections(graph, {*k, *v}, "kv_proj");
    }
  }
}

}  // namespace incipit
