// Launches of a family's kernels.
#pragma once

#include <memory>
#include <type_traits>

#include "device/device.h"
#include "kernels/kernel.h"

namespace incipit {

/// A kernel with a problem and a setting.
template <typename Family>
class KernelCode final : public LaunchCode {
 public:
  using Problem = typename Family::Problem;
  using Args = typename Family::Args;
  static_assert(std::is_trivially_copyable_v<Args> && sizeof(Args) <= LaunchRequest::max_argument_bytes);

  /// The kernel lives as long as the program, as those of a table do.
  KernelCode(const Kernel<Family>& kernel, const KernelConfig& config, const Problem& problem,
             RowAxis axis = RowAxis::tokens)
      : kernel_(kernel), config_(config), problem_(problem), axis_(axis) {}

  DeviceFunction function() const override { return function_of(kernel_, problem_, config_); }
  const Kernel<Family>& kernel() const { return kernel_; }
  const KernelConfig& config() const { return config_; }

  bool take_counts(void* arguments, const StepCounts& counts) const override {
    incipit::take_counts(*static_cast<Args*>(arguments), counts, axis_);
    if constexpr (requires(Args args) { args.rows; }) return counts.on(axis_) > 0;
    return true;
  }
  size_t scratch_bytes(int32_t rows) const override { return kernel_.processor.scratch_bytes(problem_, config_, rows); }
  int64_t tiles(const void* arguments) const override {
    return kernel_.processor.tiles(problem_, *static_cast<const Args*>(arguments), config_);
  }
  void run(const void* arguments, int64_t tile, std::byte* scratch) const override {
    kernel_.processor.run(problem_, *static_cast<const Args*>(arguments), config_, tile, scratch);
  }
  std::vector<TensorMap> tensor_maps(const void* arguments, int32_t rows) const override {
    if (kernel_.tensor_maps == nullptr) return {};
    return kernel_.tensor_maps(problem_, *static_cast<const Args*>(arguments), rows);
  }
  CudaLaunch cuda(const void* arguments, const StepCounts* counts, int32_t rows,
                  const CudaLimits& limits) const override {
    const Args& args = *static_cast<const Args*>(arguments);
    if constexpr (requires { args.rows; }) {
      if (counts == nullptr) rows = args.rows;
    }
    return kernel_.cuda.launch(problem_, args, config_, {counts, rows, axis_}, limits);
  }

 private:
  const Kernel<Family>& kernel_;
  KernelConfig config_;
  Problem problem_;
  RowAxis axis_;
};

/// A launch of up to `rows` rows; with `counts` the step says how many, else the arguments do.
template <typename Family>
std::unique_ptr<PreparedLaunch> prepare(Device& device, std::shared_ptr<const KernelCode<Family>> code,
                                        const typename Family::Args& args, int32_t rows,
                                        const StepCounts* counts = nullptr) {
  return device.prepare({std::move(code), std::as_bytes(std::span(&args, 1)), counts, rows});
}

template <typename Family>
std::unique_ptr<PreparedLaunch> prepare(Device& device, const Kernel<Family>& kernel, const KernelConfig& config,
                                        const typename Family::Problem& problem, const typename Family::Args& args,
                                        int32_t rows) {
  return prepare<Family>(device, std::make_shared<const KernelCode<Family>>(kernel, config, problem), args, rows);
}

}  // namespace incipit
