// A step of one kernel family. Each family's file gives a Binding:
//
//   Binding(const Family::Problem&, StepOperands&)          decodes and checks the operands
//   void bind(const StepView&, Family::Args&) const         fills a launch's arguments, but for the counts
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "device/launch.h"
#include "engine/plan_items.h"
#include "kernels/families.h"
#include "kernels/kernel.h"
#include "kernels/problem.h"
#include "runtime/step.h"
#include "runtime/steps/operands.h"

namespace incipit {

/// Throws Error when this program cannot run what the plan names.
template <typename Family>
std::shared_ptr<const KernelCode<Family>> resolve_kernel(const StepSource& source,
                                                         const typename Family::Problem& problem,
                                                         const WeightLayout* layout, const plan::KernelUse& use) {
  const auto refuse = [&](const std::string& fault) {
    throw Error(source.engine, fmt::format("step '{}' {}", text(source.step.name()), fault),
                "build the engine again with this incipit");
  };
  const std::string_view name = text(use.kernel());
  const Kernel<Family>* kernel = find_kernel<Family>(name);
  if (kernel == nullptr) refuse(fmt::format("asks for the kernel '{}', which this incipit does not have", name));
  if (kernel->abi != use.abi()) {
    refuse(fmt::format("asks for the kernel '{}' with ABI {}, this incipit has {}", name, use.abi(), kernel->abi));
  }
  const KernelConfig* config = find_config(*kernel, text(use.config()));
  if (config == nullptr) {
    refuse(fmt::format("asks for the setting '{}' of the kernel '{}', which this incipit does not have",
                       text(use.config()), name));
  }
  // A processor's kernels are the program's own; a device's code has a function of what the kernel makes of the
  // problem.
  const std::string function =
      kernel->needs.backend == Backend::cpu ? std::string() : function_of(*kernel, problem, *config).name;
  if (text(use.function()) != function) {
    refuse(fmt::format("asks for the function '{}' of the kernel '{}', which runs {}", text(use.function()), name,
                       function.empty() ? "none" : function));
  }
  if (!source.machine.includes(kernel->needs)) {
    refuse(fmt::format("asks for the kernel '{}', which needs {}", name, to_string(kernel->needs)));
  }
  if (!kernel->accepts(problem)) {
    refuse(
        fmt::format("gives the kernel '{}' a problem that it cannot compute: {}", name, text(source.step.problem())));
  }
  if (kernel->layout != layout)
    refuse(fmt::format("gives the kernel '{}' a weight whose layout it does not read", name));
  const RowAxis axis = source.step.axis() == plan::Axis::tokens ? RowAxis::tokens : RowAxis::rows;
  return std::make_shared<const KernelCode<Family>>(*kernel, *config, problem, axis);
}

template <typename Family, typename Binding>
class FamilyStep final : public Step {
 public:
  using Args = typename Family::Args;

  explicit FamilyStep(const StepSource& source)
      : FamilyStep(source, problem_from_text<typename Family::Problem>(text(source.step.problem())),
                   StepOperands(source)) {}

  std::unique_ptr<PreparedLaunch> prepare(const StepView& view, Device& device) const override {
    const Use& use = use_of(view.rows);
    if (use.code == nullptr) return nullptr;
    Args args{};
    binding_.bind(view, args);
    if (view.counts == nullptr) take_counts(args, {.tokens = view.rows, .rows = view.rows}, RowAxis::tokens);
    return incipit::prepare<Family>(device, use.code, args, view.rows, view.counts);
  }

  size_t workspace_bytes() const override { return workspace_bytes_; }

 private:
  struct Use {
    std::shared_ptr<const KernelCode<Family>> code;  // null: nothing is launched
    int32_t rows;                                    // at most
  };

  const Use& use_of(int32_t rows) const {
    return *std::ranges::find_if(uses_, [rows](const Use& use) { return rows <= use.rows; });
  }

  FamilyStep(const StepSource& source, const typename Family::Problem& problem, StepOperands operands)
      : binding_(problem, operands) {
    operands.finish();
    for (const plan::KernelUse* use : items(source.step.kernels())) {
      const auto rows = static_cast<int32_t>(std::min<uint32_t>(use->rows(), INT32_MAX));
      if (text(use->kernel()).empty()) {
        operands.require(std::is_same_v<Family, RmsNorm>, "has no kernel, and nobody else makes its results");
        uses_.push_back({nullptr, rows});
        continue;
      }
      uses_.push_back({resolve_kernel<Family>(source, problem, operands.weight_layout(), *use), rows});
      const KernelCode<Family>& code = *uses_.back().code;
      if (code.kernel().workspace_bytes != nullptr) {
        const auto context = static_cast<int32_t>(source.plan.max_context());
        workspace_bytes_ = std::max(workspace_bytes_, code.kernel().workspace_bytes(problem, code.config(), context));
      }
    }
  }

  Binding binding_;
  std::vector<Use> uses_;  // as the plan's
  size_t workspace_bytes_ = 0;
};

}  // namespace incipit
