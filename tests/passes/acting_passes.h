// Which passes do something to a graph: without one that does nothing, all others are given the graphs that they were
// given with it.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "graph/graph.h"
#include "passes/pass.h"
#include "support/same_op.h"

namespace incipit {

/// The same nodes, values and constants under the same numbers and names.
inline bool same_graph(const Graph& a, const Graph& b) {
  if (a.order() != b.order() || a.inputs() != b.inputs() || a.outputs() != b.outputs()) return false;
  if (a.constants() != b.constants()) return false;
  for (const ValueId id : a.constants()) {
    if (a.value(id).constant != b.value(id).constant || a.value(id).name != b.value(id).name) return false;
  }
  for (const NodeId n : a.order()) {
    const Node &left = a.node(n), &right = b.node(n);
    if (left.name != right.name || left.inputs != right.inputs || left.outputs != right.outputs) return false;
    if (!same_op(*left.op, *right.op)) return false;
    for (const ValueId id : left.outputs) {
      if (a.value(id).name != b.value(id).name || a.value(id).type != b.value(id).type) return false;
    }
  }
  return true;
}

/// The names of those that change something when all run in f32.
inline std::set<std::string> acting_passes(const Graph& graph) {
  Graph changed = graph.clone(), before = graph.clone();
  std::set<std::string> acting;
  PassOptions options;
  options.after = [&](std::string_view pass, const Graph& now) {
    if (same_graph(before, now)) return;
    acting.emplace(pass);
    before = now.clone();
  };
  run_passes(changed, options);
  return acting;
}

}  // namespace incipit
