#include "measure/gpu_ceilings.h"

#include <gtest/gtest.h>

#include "engine/plan_bytes.h"
#include "kernels/problem.h"

namespace incipit {
namespace {

plan::StepT product_step(const std::string& name, int32_t n, const std::vector<std::string>& kernels,
                         Activation activation = Activation::none) {
  Linear::Problem problem;
  problem.n = n, problem.k = 64;
  problem.activation = activation;
  plan::StepT step;
  step.name = name;
  step.problem = to_text(problem);
  for (const std::string& kernel : kernels) {
    plan::KernelUseT use;
    use.rows = static_cast<uint32_t>(step.kernels.size() + 1);
    use.kernel = kernel;
    use.config = std::string(find_kernel<Linear>(kernel)->configs[0].name);
    step.kernels.push_back(use);
  }
  return step;
}

class GpuCeilings : public testing::Test {
 protected:
  GpuCeilings() {
    plan::StepT norm;
    norm.problem = "rms_norm";
    plan::PlanT plan;
    plan.steps = {product_step("a", 128, {"linear/generic_f32"}), norm,
                  product_step("b", 96, {"linear/generic_f32", "linear/shadow"}),
                  product_step("c", 128, {"linear/generic_f32"}, Activation::silu)};
    bytes_ = plan_bytes(plan);
  }
  std::vector<Yardstick> yardsticks() const { return yardsticks_of(*plan::GetPlan(bytes_.data())); }
  std::vector<std::byte> bytes_;
};

TEST_F(GpuCeilings, AreOfEachFunctionOfThePlansProductsOnce) {
  std::vector<std::string> found;
  for (const Yardstick& yardstick : yardsticks()) {
    found.push_back(std::string(yardstick.kernel->name) + " " + std::string(name_of(yardstick.problem.activation)));
  }
  std::ranges::sort(found);
  EXPECT_EQ(found,
            (std::vector<std::string>{"linear/generic_f32 none", "linear/generic_f32 silu", "linear/shadow none"}));
}

TEST_F(GpuCeilings, AreMeasuredWhereTheEngineHasProducts) {
  std::vector<Yardstick> of_the_processor = yardsticks();
  std::erase_if(of_the_processor, [](const Yardstick& one) { return one.kernel->name != "linear/generic_f32"; });
  const auto device = make_cpu_device(1);
  const Ceilings ceilings = measure_by_products(*device, of_the_processor, {128, 1 << 20, 1 << 18, 0.01});
  EXPECT_GT(ceilings.f32, 1e6);
  EXPECT_GT(ceilings.bandwidth, 1e6);
  EXPECT_EQ(ceilings.bf16, 0);
  EXPECT_EQ(ceilings.i8, 0);
}

TEST(Ceilings, OfWhatWasNotMeasuredAreTheLargest) {
  const Ceilings ceilings{1e9, 0, 0, 4e9, 1e9};
  EXPECT_EQ(ceilings.of(DType::f32), 1e9);
  EXPECT_EQ(ceilings.of(DType::bf16), 4e9);
  EXPECT_EQ(ceilings.of(DType::f16), 4e9);
  EXPECT_EQ(ceilings.of(DType::i8), 4e9);
}

}  // namespace
}  // namespace incipit
