#include "graph/graph.h"
#include "graph/ops/activate.h"
#include "graph/ops/expert_linear.h"
#include "graph/ops/linear.h"
#include "graph/ops/multiply.h"
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
  if (activate == nullptr || graph.use_count(activated) != 1 || !gate_of(activate->kind)) return false;
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
  linear.activation = *gate_of(activate->kind);
  const ValueId fused = graph.insert(multiply, graph.node(graph.value(projection->product).producer).name, linear,
                                     {projection->x, projection->weight, projection->bias});
  substitute(graph, graph.node(multiply).outputs[0], fused);
  for (const ValueId dead : {activated, gate, up, merged}) remove_if_unused(graph, dead);
  if (projection->product != merged) remove_if_unused(graph, projection->product);
  return true;
}

/// The bare product of chosen experts that makes `value`, which nothing else uses.
const ops::ExpertLinear* bare_experts(const Graph& graph, ValueId value) {
  const auto* op = graph.producer_as<ops::ExpertLinear>(value);
  if (op == nullptr || op->activation != Activation::none || op->output != DType::f32 || graph.use_count(value) != 1)
    return nullptr;
  const NodeId node = graph.value(value).producer;
  return has_own_weight(graph, input_of(graph, node, 2)) && input_of(graph, node, 3) == none ? op : nullptr;
}

/// [E, M, K] twice → [E, 2M, K]: an expert's gate rows, then its up rows.
ConstantPtr pair_experts(ConstantPtr gate, ConstantPtr up) {
  if (gate->dtype() != up->dtype()) {
    gate = convert(std::move(gate), DType::f32);
    up = convert(std::move(up), DType::f32);
  }
  const int64_t experts = gate->shape()[0], width = gate->shape()[1], depth = gate->shape()[2];
  const ConstantPtr gates = reshape(std::move(gate), {experts * width, depth});
  const ConstantPtr ups = reshape(std::move(up), {experts * width, depth});
  std::vector<ConstantPtr> parts;
  for (int64_t e = 0; e < experts; ++e) {
    parts.push_back(slice_rows(gates, e * width, width));
    parts.push_back(slice_rows(ups, e * width, width));
  }
  return reshape(concatenate_rows(std::move(parts)), {experts, 2 * width, depth});
}

/// Gate and up of the same experts: their slots alternate in a merged product, so nothing could be sliced from it, and
/// merging and fusing are one step.
bool fuse_experts(Graph& graph, NodeId multiply, size_t side) {
  const ValueId activated = input_of(graph, multiply, side), up = input_of(graph, multiply, 1 - side);
  const auto* activate = graph.producer_as<ops::Activate>(activated);
  if (activate == nullptr || graph.use_count(activated) != 1 || !gate_of(activate->kind)) return false;
  const ValueId gate = input_of(graph, graph.value(activated).producer, 0);
  if (gate == up || !bare_experts(graph, gate) || !bare_experts(graph, up)) return false;
  const NodeId gate_node = graph.value(gate).producer, up_node = graph.value(up).producer;
  const std::vector<ValueId> inputs = graph.node(gate_node).inputs, up_inputs = graph.node(up_node).inputs;
  const ConstantPtr& gate_weight = graph.value(inputs[2]).constant;
  const ConstantPtr& up_weight = graph.value(up_inputs[2]).constant;
  if (inputs[0] != up_inputs[0] || inputs[1] != up_inputs[1] || gate_weight->shape() != up_weight->shape())
    return false;
  const std::string name = sibling_name(graph.node(gate_node).name, "gate_up_proj");
  ops::ExpertLinear op;
  op.top_k = graph.op_as<ops::ExpertLinear>(gate_node)->top_k;
  op.activation = *gate_of(activate->kind);
  const ValueId weight = graph.add_constant(name + ".weight", pair_experts(gate_weight, up_weight));
  const ValueId fused = graph.insert(multiply, name, op, {inputs[0], inputs[1], weight});
  substitute(graph, graph.node(multiply).outputs[0], fused);
  for (const ValueId dead : {activated, gate, up}) remove_if_unused(graph, dead);
  return true;
}

}  // namespace

void fuse_gate(Graph& graph, const PassContext&) {
  for (const NodeId n : std::vector<NodeId>(graph.order())) {
    if (graph.node(n).op == nullptr || !graph.op_as<ops::Multiply>(n)) continue;
    if (fuse(graph, n, 0) || fuse(graph, n, 1) || fuse_experts(graph, n, 0)) continue;
    fuse_experts(graph, n, 1);
  }
}

}  // namespace incipit
