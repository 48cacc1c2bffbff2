// The plan while it is being made: what lowering decides, before memory is placed, kernels chosen and weights packed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/plan_generated.h"
#include "graph/constant.h"
#include "kernels/layout.h"

namespace incipit {

/// What a weight of the plan is made from. `dense`: `values` as they are. Otherwise packed in panels of `format`.
struct DraftWeight {
  std::string name;
  bool dense = true;
  WeightFormat format = WeightFormat::f32;
  bool gated = false;
  int64_t experts = 1;  // packed: weights of one shape, one after the other
  ConstantPtr values;   // dense values; or the [experts · n, k] weight (codes when int8)
  ConstantPtr scales;   // int8: f32 [experts · n]
  ConstantPtr bias;     // f32 [n], or null
};

struct PlanDraft {
  plan::PlanT plan;
  std::vector<DraftWeight> weights;    // plan.weights, which are made when these are packed
  std::vector<DraftWeight> constants;  // of plan.graph, dense, in its constants' order
};

/// For numbers of a plan.
uint32_t unsigned32(int64_t value);
plan::OperandT operand_of(plan::Space space, int64_t index = 0, int64_t column = 0, int64_t width = 0);

}  // namespace incipit
