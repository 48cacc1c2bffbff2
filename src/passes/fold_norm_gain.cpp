#include <algorithm>

#include "graph/graph.h"
#include "graph/ops/expert_linear.h"
#include "graph/ops/linear.h"
#include "graph/ops/rms_norm.h"
#include "passes/pass.h"
#include "passes/passes.h"
#include "passes/rewrite.h"
#include "quant/format.h"

namespace incipit {
namespace {

/// The weight that a use of normed rows multiplies them with, column for column; none where it is no such use.
ValueId weight_of(const Graph& graph, const std::pair<NodeId, int32_t>& use, const ValueType& gain) {
  const auto [user, index] = use;
  if (index != 0) return none;
  const ValueId weight = graph.op_as<ops::Linear>(user)         ? input_of(graph, user, 1)
                         : graph.op_as<ops::ExpertLinear>(user) ? input_of(graph, user, 2)
                                                                : none;
  // A gain of one group of columns, or inputs of the experts' own, do not match.
  return has_own_weight(graph, weight) && graph.value(weight).type.shape.back() == gain.shape[0] ? weight : none;
}

/// Of a weight of one matrix or several.
ConstantPtr times_gain(const ConstantPtr& weight, const ConstantPtr& gain) {
  const Shape& shape = weight->shape();
  if (shape.size() == 2) return scale_columns(weight, gain);
  return reshape(scale_columns(reshape(weight, {shape[0] * shape[1], shape[2]}), gain), shape);
}

}  // namespace

// (n · gain)·Wᵀ = n·(W · diag(gain))ᵀ
void fold_norm_gain(Graph& graph, const PassContext& context) {
  if (context.format.keeps_gains || context.calibration != nullptr) return;
  for (const NodeId n : graph.order()) {
    if (!graph.op_as<ops::RmsNorm>(n) || graph.node(n).outputs.size() != 1) continue;
    const ValueId normed = graph.node(n).outputs[0], gain = input_of(graph, n, 1);
    if (!is_constant(graph, gain) || graph.is_output(normed)) continue;
    const ValueType type = graph.value(gain).type;
    const auto uses = graph.uses(normed);
    if (!std::all_of(uses.begin(), uses.end(), [&](const auto& use) { return weight_of(graph, use, type) != none; })) {
      continue;
    }
    for (const auto& use : uses) {
      const ValueId weight = weight_of(graph, use, type);
      graph.set_constant(weight, times_gain(graph.value(weight).constant, graph.value(gain).constant));
    }
    graph.set_input(n, 1, none);
  }
}

}  // namespace incipit
