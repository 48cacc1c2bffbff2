// The plan, from its parts to FlatBuffers bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "compile/buckets.h"
#include "compile/memory_plan.h"
#include "compile/pack.h"
#include "compile/plan_draft.h"
#include "graph/model.h"
#include "tune/tuner.h"

namespace incipit {

/// A step with its kernel for every bucket.
struct PlannedStep {
  DraftStep step;
  std::vector<KernelChoice> kernels;
};

/// Everything that was decided beside the draft.
struct PlanParts {
  std::string precision;
  int32_t max_context = 0;
  int32_t max_sequences = 0;
  uint64_t memory_limit = 0;  // for pages, arena and state; 0: none
  std::vector<BucketBounds> buckets;
  std::vector<ArenaPlan> arenas;                  // of every bucket
  std::vector<PlannedStep> steps;                 // the draft's
  PlannedStep resolve_tokens, sample;             // the frame
  std::vector<std::vector<WrittenPlane>> planes;  // of every weight
  std::vector<WrittenPlane> constants;            // of a plain graph
};

/// Deterministic: the same parts give the same bytes.
std::vector<std::byte> write_plan(const Model& model, const PlanDraft& draft, const PlanParts& parts);

}  // namespace incipit
