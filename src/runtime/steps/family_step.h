// A step of one kernel family. Each family's file gives a Binding:
//
//   Binding(const Family::Problem&, StepOperands&)          decodes and checks the operands
//   void bind(const BatchView&, Family::Args&) const        fills a launch's arguments
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <string>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "engine/plan_items.h"
#include "kernels/kernel.h"
#include "kernels/problem.h"
#include "runtime/step.h"
#include "runtime/steps/operands.h"

namespace incipit {

/// A kernel with problem and setting, as a device's queue holds it.
template <typename Family>
struct KernelCode final : Launch::Code {
  using Args = typename Family::Args;

  typename Family::Problem problem;
  const Kernel<Family>* kernel = nullptr;
  const KernelConfig* config = nullptr;

  int64_t tiles(const void* arguments) const override {
    return kernel->tiles(problem, *static_cast<const Args*>(arguments), *config);
  }
  void run(const void* arguments, int64_t tile, std::byte* scratch) const override {
    kernel->run(problem, *static_cast<const Args*>(arguments), *config, tile, scratch);
  }
};

/// Throws Error when this program cannot run what the plan names.
template <typename Family>
KernelCode<Family> resolve_kernel(const StepSource& source, const typename Family::Problem& problem,
                                  const plan::KernelUse& use) {
  const auto refuse = [&](const std::string& fault) {
    throw Error(source.engine, fmt::format("step '{}' {}", text(source.step.name()), fault),
                "build the engine again with this incipit");
  };
  const std::string_view name = text(use.kernel());
  KernelCode<Family> code;
  code.problem = problem;
  code.kernel = find_kernel<Family>(name);
  if (code.kernel == nullptr) {
    refuse(fmt::format("asks for the kernel '{}', which this incipit does not have", name));
  }
  if (code.kernel->abi != use.abi()) {
    refuse(fmt::format("asks for the kernel '{}' with ABI {}, this incipit has {}", name, use.abi(), code.kernel->abi));
  }
  code.config = find_config(*code.kernel, text(use.config()));
  if (code.config == nullptr) {
    refuse(fmt::format("asks for the setting '{}' of the kernel '{}', which this incipit does not have",
                       text(use.config()), name));
  }
  if (!source.features.includes(code.kernel->needs)) {
    refuse(fmt::format("asks for the kernel '{}', which needs {}", name, to_string(code.kernel->needs)));
  }
  if (!code.kernel->accepts(problem)) {
    refuse(
        fmt::format("gives the kernel '{}' a problem that it cannot compute: {}", name, text(source.step.problem())));
  }
  return code;
}

template <typename Family, typename Binding>
class FamilyStep final : public Step {
 public:
  using Args = typename Family::Args;
  static_assert(std::is_trivially_copyable_v<Args> && sizeof(Args) <= Launch::max_argument_bytes);

  explicit FamilyStep(const StepSource& source)
      : FamilyStep(source, problem_from_text<typename Family::Problem>(text(source.step.problem())),
                   StepOperands(source)) {}

  void launch(const BatchView& batch, Device& device) const override {
    if (rows_on(axis_, batch) == 0) return;
    Launch launch;
    launch.code = &codes_[static_cast<size_t>(batch.bucket)];
    binding_.bind(batch, *new (launch.arguments) Args{});
    device.launch(launch);
  }

  size_t scratch_bytes() const override { return scratch_bytes_; }
  size_t workspace_bytes() const override { return workspace_bytes_; }

 private:
  FamilyStep(const StepSource& source, const typename Family::Problem& problem, StepOperands operands)
      : axis_(source.step.axis()), binding_(problem, operands) {
    operands.finish();
    for (uint32_t i = 0; i < count(source.plan.buckets()); ++i) {
      const plan::Bucket& bucket = *source.plan.buckets()->Get(i);
      codes_.push_back(resolve_kernel<Family>(source, problem, *source.step.kernels()->Get(i)));
      const uint32_t rows = axis_ == plan::Axis::tokens ? bucket.tokens() : bucket.rows();
      const KernelCode<Family>& code = codes_.back();
      scratch_bytes_ =
          std::max(scratch_bytes_, code.kernel->scratch_bytes(problem, *code.config, static_cast<int32_t>(rows)));
      if (code.kernel->workspace_bytes != nullptr) {
        const auto context = static_cast<int32_t>(source.plan.max_context());
        workspace_bytes_ = std::max(workspace_bytes_, code.kernel->workspace_bytes(problem, *code.config, context));
      }
    }
  }

  plan::Axis axis_;
  Binding binding_;
  std::vector<KernelCode<Family>> codes_;  // one a bucket
  size_t scratch_bytes_ = 0, workspace_bytes_ = 0;
};

}  // namespace incipit
