// From the optimised graph to steps: one node, one step; column slices become views, results reuse their inputs' memory
// where the kernel allows it.
#pragma once

#include "compile/plan_draft.h"
#include "graph/model.h"

namespace incipit {

struct LowerOptions {
  int32_t page_tokens = 32;
};

/// Throws Error naming the node when an op has no kernel family (the graph must be in decoder form).
PlanDraft lower(const Model& model, const LowerOptions& options);

}  // namespace incipit
