// The stage that gathers what a device loads to run the plan.
#include <set>
#include <span>

#include "compile/stages.h"
#include "kernels/kernel.h"
#include "kernels/sampling.h"
#include "kernels/shadow/device_code.h"

namespace incipit {
namespace {

template <typename Family>
DeviceFunction first_function(const Target& target, const typename Family::Problem& problem) {
  const Kernel<Family>& kernel = *kernels_for<Family>(target).front();
  return function_of(kernel, problem, kernel.configs[0]);
}

/// The kernels of all steps, and those that the run time takes by itself.
std::set<DeviceFunction> functions_of(const plan::PlanT& plan, const Target& target) {
  const auto vocabulary = static_cast<int32_t>(plan.vocabulary);
  std::set<DeviceFunction> functions{first_function<ResetSlot>(target, {vocabulary}),
                                     first_function<TruncateSlot>(target, {vocabulary}),
                                     first_function<Publish>(target, {})};
  const auto add = [&](const plan::StepT& step) {
    for (const plan::KernelUseT& use : step.kernels) {
      if (!use.kernel.empty()) functions.insert({use.function, use.abi});
    }
  };
  for (const plan::StepT& step : plan.steps) add(step);
  for (const plan::StepT* step : {plan.resolve_tokens.get(), plan.sample.get()}) add(*step);
  return functions;
}

}  // namespace

std::vector<std::byte> make_device_code(const Tuned& tuned, const Target& target, CudaCompiler* compiler,
                                        Progress& progress) {
  if (target.backend == Backend::cpu) return {};
  const std::set<DeviceFunction> functions = functions_of(tuned.draft.plan, target);
  if (compiler == nullptr) {
    const std::string text = write_device_code(functions);
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
  }
  progress.stage("compiling kernels", 0);
  std::vector<std::byte> code = compiler->code_of(functions);
  progress.finish();
  return code;
}

}  // namespace incipit
