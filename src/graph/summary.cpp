#include "graph/summary.h"

#include <algorithm>
#include <map>

#include "graph/graph.h"
#include "graph/ops/quantized_expert_linear.h"
#include "graph/ops/quantized_linear.h"
#include "graph/ops/rotary.h"
#include "graph/ops/rotary_table.h"

namespace incipit {

int64_t parameter_count(const Graph& graph) {
  int64_t count = 0;
  for (const ValueId id : graph.constants()) {
    const Value& value = graph.value(id);
    // Not learned: the scales and zero points of quantised weights, and the frequencies of rotary.
    bool learned = true;
    for (const auto& [node, input] : graph.uses(id)) {
      if (graph.op_as<ops::QuantizedLinear>(node) && (input == 3 || input == 6)) learned = false;
      if (graph.op_as<ops::QuantizedExpertLinear>(node) && input >= 4) learned = false;
      if (graph.op_as<ops::Rotary>(node) || graph.op_as<ops::RotaryTable>(node)) learned = false;
    }
    if (learned) count += element_count(value.constant->shape());
  }
  return count;
}

std::vector<OpCount> op_counts(const Graph& graph) {
  std::map<std::string, int32_t> counts;
  for (const NodeId n : graph.order()) ++counts[std::string(graph.node(n).op->name())];
  std::vector<OpCount> sorted;
  for (const auto& [op, nodes] : counts) sorted.push_back({op, nodes});
  std::stable_sort(sorted.begin(), sorted.end(), [](const OpCount& a, const OpCount& b) { return a.nodes > b.nodes; });
  return sorted;
}

}  // namespace incipit
