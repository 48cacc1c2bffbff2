// One operation of a plain graph, resolved.
#pragma once

#include <memory>

#include "device/device.h"
#include "primitives/primitive.h"
#include "runtime/step.h"

namespace incipit {

namespace plan {
struct Operation;
}

class PlainOperation {
 public:
  virtual ~PlainOperation() = default;
  /// Throws Error for tensors that do not fit.
  virtual primitives::Outputs compute(primitives::Inputs inputs) = 0;
};

/// A primitive with the plan's attributes. Throws Error for a primitive or attribute that this program does not have.
std::unique_ptr<PlainOperation> resolve_primitive(const plan::Operation& operation);

/// Sdpa, of one output, on all the device's threads; else as `attention` computes it.
std::unique_ptr<PlainOperation> spread_heads(std::unique_ptr<PlainOperation> attention, Device& device);

/// The launch of the plan's step that the operation names, over as many rows at a time as the plan's largest bucket
/// has. `source` is that step's; the device outlives the operation. Throws Error as resolve_step does, and for families
/// that need a decoder's batch.
std::unique_ptr<PlainOperation> resolve_launch(const StepSource& source, Device& device);

}  // namespace incipit
