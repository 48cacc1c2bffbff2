#include "measure/limits.h"

#include <gtest/gtest.h>

#include "base/progress.h"
#include "engine/plan_bytes.h"
#include "kernels/families.h"
#include "kernels/problem.h"

namespace incipit {
namespace {

MachineCeilings example_ceilings() {
  MachineCeilings ceilings;
  ceilings.all_threads = {1e9, 1e9, 2e9, 4e9, 1e9};
  ceilings.working_set_bandwidth = 8e9;
  return ceilings;
}

std::string product(DType input, WeightFormat format) {
  Linear::Problem problem;
  problem.n = 1000, problem.k = 64;
  problem.input = input, problem.format = format;
  return to_text(problem);
}

TEST(Limits, OfAStepCountTheRowsOfItsAxis) {
  const std::string problem = product(DType::f32, WeightFormat::f32);
  const double operations = 2.0 * 1000 * 64;
  EXPECT_DOUBLE_EQ(limit_of_step(problem, false, {0, 50}, example_ceilings()), 1e3 * 50 * operations / 1e9);
  EXPECT_DOUBLE_EQ(limit_of_step(problem, true, {0, 50}, example_ceilings()), 1e3 * operations / 1e9);
  EXPECT_EQ(limit_of_step(problem, true, {0, 50, false}, example_ceilings()), 0);
}

TEST(Limits, OfAPassAreTheLargerOfAllArithmeticAndAllBytes) {
  plan::PlanT plan;
  const std::string f32 = product(DType::f32, WeightFormat::f32), bf16 = product(DType::bf16, WeightFormat::bf16);
  plan.steps = {{{}, "a", f32, plan::Axis::tokens, {}, {}, {}}, {{}, "b", bf16, plan::Axis::rows, {}, {}, {}}};
  const std::vector<std::byte> bytes = plan_bytes(plan);
  const plan::Plan& read = *plan::GetPlan(bytes.data());
  const double weights = 1000.0 * 64 * (4 + 2);  // whatever a layout adds
  EXPECT_EQ(working_set_of(read), static_cast<int64_t>(weights));
  const double operations = 2.0 * 1000 * 64;
  EXPECT_NEAR(limit_of_pass(read, {0, 100}, example_ceilings()), 1e3 * (100 * operations / 1e9 + operations / 2e9),
              1e-9);
  MachineCeilings slow = example_ceilings();
  slow.working_set_bandwidth = 1e6;
  EXPECT_NEAR(limit_of_pass(read, {0, 1}, slow), 1e3 * weights / 1e6, 1e-9);
}

TEST(Limits, KeepTheBestThatWasMeasured) {
  Progress progress(false);
  MachineCeilings ceilings = measure_machine(1, 1 << 20, progress);
  EXPECT_EQ(ceilings.threads, 1);
  EXPECT_GT(ceilings.one_core.f32, 0);
  EXPECT_GE(ceilings.working_set_bandwidth, ceilings.all_threads.bandwidth);
  ceilings.all_threads.f32 = 1e18;
  ceilings.all_threads.bf16 = 1;
  ceilings.measure_again(progress);
  EXPECT_EQ(ceilings.all_threads.f32, 1e18);
  EXPECT_GT(ceilings.all_threads.bf16, 1);
}

}  // namespace
}  // namespace incipit
