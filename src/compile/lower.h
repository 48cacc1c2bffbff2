// From the optimised graph to steps: one node, one step; column slices become views, results reuse their inputs' memory
// where the kernel allows it.
#pragma once

#include <optional>

#include "base/target.h"
#include "compile/plan_draft.h"
#include "graph/model.h"

namespace incipit {

struct LowerOptions {
  PageFormat pages;
  /// Products may make the norms that are their inputs (InputNorm), where this target has a kernel that does.
  std::optional<Target> norms_in_products = std::nullopt;
};

/// Throws Error naming the node when an op has no kernel family (the graph must be in decoder form).
PlanDraft lower(const Model& model, const LowerOptions& options);

/// The steps of those nodes of a plain graph that kernels compute. Each value that they read or make is a buffer of its
/// own, whose rows are the value's last axis.
struct RowSteps {
  PlanDraft draft;
  std::map<NodeId, int32_t> steps;  // of the draft
  std::vector<ValueId> values;      // of its buffers
};
/// Throws Error for an op that is neither a primitive nor a kernel's.
RowSteps lower_rows(const Graph& graph);

}  // namespace incipit
