// Every kernel of every family against its scalar reference.
#include <cmath>

#include "all_cases.h"
#include "kernel_checks.h"
#include "kernels/family_tests.h"

namespace incipit {
namespace {

template <typename Family>
class EveryKernel : public ::testing::Test {};
TYPED_TEST_SUITE(EveryKernel, AllFamilies, FamilyNames);

TYPED_TEST(EveryKernel, MatchesTheReference) { check_kernels<TypeParam>(TypeParam::kernels()); }

TYPED_TEST(EveryKernel, HasOneOfItsFamilyOnTheShadow) {
  // Of products also one that makes norms.
  const size_t count = std::is_same_v<TypeParam, Linear> ? 2 : 1;
  EXPECT_EQ(kernels_for<TypeParam>(Target(Backend::shadow, 0)).size(), count);
}

TYPED_TEST(EveryKernel, HasABenchmark) {
  for (const Kernel<TypeParam>& kernel : TypeParam::kernels()) {
    if (kernel.needs.backend != Backend::cpu) continue;
    const auto steps = KernelCase<TypeParam>::bench_steps();
    EXPECT_TRUE(std::any_of(steps.begin(), steps.end(), [&](const auto& step) { return kernel.accepts(step.problem); }))
        << kernel.name;
  }
}

TEST(ElementwiseKernels, KeepNaN) {
  constexpr int32_t width = 37;
  std::vector<float> from(width, std::nanf(""));
  std::vector<Elementwise::Problem> problems{
      {ElementwiseOp::soft_cap, Activation::none, width, DType::f32, DType::f32, DType::f32, 30, false},
      {ElementwiseOp::xielu, Activation::none, width, DType::f32, DType::f32, DType::f32, 1, true}};
  for (const Activation activation : {Activation::silu, Activation::gelu_tanh, Activation::gelu_erf, Activation::relu,
                                      Activation::relu_squared, Activation::sigmoid}) {
    for (const ElementwiseOp op : {ElementwiseOp::activate, ElementwiseOp::gate}) {
      problems.push_back({op, activation, width, DType::f32, DType::f32, DType::f32, 1, false});
    }
  }
  for (const Elementwise::Problem& problem : problems) {
    for (const Kernel<Elementwise>& kernel : Elementwise::kernels()) {
      if (!kernel.accepts(problem) || !this_machine().includes(kernel.needs)) continue;
      std::vector<float> to(width, 0);
      const std::vector<float> factor(width, 1);
      const auto bytes = [](const std::vector<float>& row) { return reinterpret_cast<const std::byte*>(row.data()); };
      const Elementwise::Args args{
          1, bytes(from), width, bytes(factor), width, reinterpret_cast<std::byte*>(to.data()), width, false};
      run_kernel<Elementwise>(kernel, problem, args, kernel.configs[0], 1, TileOrder::shuffled);
      EXPECT_TRUE(std::all_of(to.begin(), to.end(), [](float x) { return std::isnan(x); }))
          << kernel.name << " " << to_text(problem);
    }
  }
}

}  // namespace
}  // namespace incipit
