// The plan while it is being made: what lowering decides, before memory is placed, kernels chosen and weights packed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/plan_generated.h"
#include "graph/constant.h"
#include "kernels/weight_layout.h"

namespace incipit {

/// What a weight of the plan is made from. `dense`: `values` as they are. Otherwise packed by `format` and `layout`.
struct DraftWeight {
  std::string name;
  bool dense = true;
  WeightFormat format = WeightFormat::f32;
  const WeightLayout* layout = nullptr;  // which its steps' kernels read (choose_layouts)
  RowPairs pairs;
  int64_t experts = 1;      // packed: weights of one shape, one after the other
  ConstantPtr values;       // dense values; or the [experts · n, k] weight, or its codes
  ConstantPtr scales;       // where the format has them, of every expert's blocks
  ConstantPtr zero_points;  // likewise
  ConstantPtr bias;         // f32 [n], or null

  /// Of one expert.
  WeightShape shape() const { return {format, values->shape().at(0) / experts, values->shape().at(1), pairs}; }
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
