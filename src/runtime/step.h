// A plan's step, resolved: its operands decoded and checked, its kernels found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/cpu.h"
#include "runtime/batch_view.h"
#include "runtime/device.h"

namespace incipit {

namespace plan {
struct Plan;
struct Step;
}  // namespace plan

class Step {
 public:
  virtual ~Step() = default;
  /// Puts the step's launch into the device's queue; nothing when the batch has no rows on the step's axis.
  virtual void launch(const BatchView& batch, Device& device) const = 0;
  /// Scratch that each worker needs, in any bucket.
  virtual size_t scratch_bytes() const = 0;
  /// What the workers of a launch share (BatchView::workspace), in any bucket.
  virtual size_t workspace_bytes() const = 0;
};

/// What a step is resolved from.
struct StepSource {
  const plan::Plan& plan;
  const plan::Step& step;
  std::string_view engine;             // in messages
  const std::byte* weights = nullptr;  // kernel pointer to the weights section's first byte
  CpuFeatures features;                // of the machine
};

/// Throws Error naming the engine and the step: a kernel, ABI or setting that this program lacks, a problem that is not
/// the family's, operands that are not what the problem asks for. What it returns runs without further checks.
std::unique_ptr<Step> resolve_step(const StepSource& source);

}  // namespace incipit
