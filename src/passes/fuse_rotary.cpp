#include "graph/graph.h"
#include "graph/ops/apply_rotary.h"
#include "graph/ops/attention.h"
#include "graph/ops/kv_write.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {
namespace {

/// `node`, of an op O that reads heads as its first input, rotates them itself in place of the ApplyRotary before it.
template <typename O>
void rotate_in(Graph& graph, NodeId node) {
  const O* op = graph.op_as<O>(node);
  if (op == nullptr || input_of(graph, node, 3) != none) return;
  const ValueId rotated = input_of(graph, node, 0);
  const auto* rotary = graph.producer_as<ops::ApplyRotary>(rotated);
  if (rotary == nullptr || graph.use_count(rotated) != 1 || rotary->head_dim != op->head_dim) return;
  const NodeId apply = graph.value(rotated).producer;
  if (graph.value(input_of(graph, apply, 0)).type != graph.value(rotated).type) return;
  const bool interleaved = rotary->interleaved;
  graph.set_input(node, 3, input_of(graph, apply, 1));
  graph.set_input(node, 0, input_of(graph, apply, 0));
  graph.change<O>(node, [&](O& changed) { changed.interleaved = interleaved; });
  graph.remove_node(apply);
}

}  // namespace

void fuse_rotary(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    rotate_in<ops::KvWrite>(graph, n);
    rotate_in<ops::Attention>(graph, n);
  }
}

}  // namespace incipit
