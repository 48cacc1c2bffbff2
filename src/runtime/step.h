// A plan's step, resolved: its operands decoded and checked, its kernels found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/target.h"
#include "device/device.h"
#include "runtime/step_view.h"

namespace incipit {

namespace plan {
struct Plan;
struct Step;
}  // namespace plan

class Step {
 public:
  virtual ~Step() = default;
  /// The step's launch, for batches of up to the view's rows, by the kernel that the plan has for so many; null where
  /// it has none. It holds what it needs of the step.
  virtual std::unique_ptr<PreparedLaunch> prepare(const StepView& view, Device& device) const = 0;
  /// What the workers of a launch share (StepView::workspace), whatever its rows.
  virtual size_t workspace_bytes() const = 0;
};

/// What a step is resolved from.
struct StepSource {
  const plan::Plan& plan;
  const plan::Step& step;
  std::string_view engine;             // in messages
  const std::byte* weights = nullptr;  // kernel pointer to the weights section's first byte
  Target machine;                      // kernels that need more are refused
};

/// Throws Error naming the engine and the step: a kernel, ABI or setting that this program lacks, a problem that is not
/// the family's, operands that are not what the problem asks for. What it returns runs without further checks.
std::unique_ptr<Step> resolve_step(const StepSource& source);

}  // namespace incipit
