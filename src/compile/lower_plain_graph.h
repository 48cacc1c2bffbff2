// A graph that is no decoder, as the operations of a plain graph.
#pragma once

#include <string>
#include <vector>

#include "compile/plan_draft.h"
#include "graph/model.h"

namespace incipit {

/// What the model calls what goes in and comes out: passes may give the values other names.
struct PortNames {
  std::vector<std::string> inputs, outputs;
};
PortNames port_names(const Model& model);

/// One operation a node. Throws Error for what a plain graph cannot hold: If, Loop and Scan, and ops of decoders.
PlanDraft lower_plain_graph(const Graph& graph, const PortNames& names);

}  // namespace incipit
