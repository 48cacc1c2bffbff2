#include <algorithm>

#include "graph/graph.h"
#include "graph/ops/linear.h"
#include "graph/ops/rms_norm.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {

// (n · gain)·Wᵀ = n·(W · diag(gain))ᵀ
void fold_norm_gain(Graph& graph, const PassContext&) {
  for (const NodeId n : graph.order()) {
    if (!graph.op_as<ops::RmsNorm>(n) || graph.node(n).outputs.size() != 1) continue;
    const ValueId normed = graph.node(n).outputs[0], gain = input_of(graph, n, 1);
    if (!is_constant(graph, gain) || graph.is_output(normed)) continue;
    const auto uses = graph.uses(normed);
    const bool foldable = std::all_of(uses.begin(), uses.end(), [&](const auto& use) {
      const auto [user, index] = use;
      if (!graph.op_as<ops::Linear>(user) || index != 0) return false;
      const ValueId weight = input_of(graph, user, 1);
      return is_constant(graph, weight) && graph.use_count(weight) == 1;
    });
    if (!foldable) continue;
    for (const auto& [user, index] : uses) {
      const ValueId weight = input_of(graph, user, 1);
      graph.set_constant(weight, scale_columns(graph.value(weight).constant, graph.value(gain).constant));
    }
    graph.set_input(n, 1, none);
  }
}

}  // namespace incipit
