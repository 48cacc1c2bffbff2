// The plan while it is being made: what lowering decides, before memory is placed, kernels chosen and weights packed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graph/constant.h"
#include "graph/op.h"
#include "kernels/layout.h"

namespace incipit {

enum class DraftAxis : uint8_t { tokens, rows };

struct DraftBuffer {
  std::string name;
  DType dtype = DType::f32;
  DraftAxis axis = DraftAxis::tokens;
  int64_t width = 0;
};

/// A weight as the plan will list it. `dense`: `values` as they are. Otherwise packed in panels of `format`.
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

/// Mirrors plan::Space.
enum class DraftSpace : uint8_t { absent, buffer, weight, ids, positions, rows, row_positions, cache };

struct DraftOperand {
  DraftSpace space = DraftSpace::absent;
  int32_t index = 0;
  int64_t column = 0;
  int64_t width = 0;
};

struct DraftStep {
  std::string name;
  std::string problem;
  DraftAxis axis = DraftAxis::tokens;
  std::vector<DraftOperand> inputs, outputs;
};

struct DraftCacheGroup {
  std::vector<int64_t> layers;
  int64_t window = 0;
  KvGeometry geometry;
};

// ---- a plain graph (plan.fbs): its values are numbered, inputs, constants, then what operations make

struct DraftPort {
  std::string name;
  ValueType type;
  int32_t value = 0;
};

/// One primitive, or the launch of one of the draft's steps.
struct DraftOperation {
  std::string name;
  std::unique_ptr<Op> primitive;  // null: a launch
  int32_t step = 0;               // what is launched
  std::vector<int32_t> inputs;    // values; -1: absent. A launch has one for each of its step's inputs.
  int32_t outputs = 0;            // how many values it makes
};

struct DraftGraph {
  std::vector<DraftPort> inputs, outputs;
  std::vector<DraftOperation> operations;
};

struct PlanDraft {
  std::vector<DraftBuffer> buffers;
  std::vector<DraftWeight> weights;
  std::vector<DraftStep> steps;
  std::vector<DraftCacheGroup> groups;
  int32_t logits = -1;                 // buffer; -1: a plain graph, which has neither caches nor a frame
  std::vector<DraftStep> frame;        // resolve_tokens, before the steps, and sample, behind them
  std::optional<DraftGraph> graph;     // a plain graph
  std::vector<DraftWeight> constants;  // its own, dense, which are read where they are mapped
};

}  // namespace incipit
