#include "measure/step_groups.h"

#include <gtest/gtest.h>

#include "engine/plan_bytes.h"
#include "kernels/families.h"
#include "kernels/problem.h"

namespace incipit {
namespace {

class StepGroups : public testing::Test {
 protected:
  StepGroups() {
    Linear::Problem product;
    product.n = 1000, product.k = 64;
    product.input = DType::f32, product.format = WeightFormat::f32;
    problem_ = to_text(product);
    product.n = 32000;
    head_ = to_text(product);
    plan::PlanT plan;
    plan.steps = {{{}, "layers.0.up", problem_, plan::Axis::tokens, {}, {}, {}},
                  {{}, "layers.1.up", problem_, plan::Axis::tokens, {}, {}, {}},
                  {{}, "head", head_, plan::Axis::rows, {}, {}, {}}};
    bytes_ = plan_bytes(plan);
    ceilings_.all_threads = {1e9, 1e9, 1e9, 1e9, 1e9};
    ceilings_.working_set_bandwidth = 1e9;
  }

  std::vector<StepGroup> group(const std::vector<TracedPass>& passes, int32_t runs) const {
    return group_steps(passes, *plan::GetPlan(bytes_.data()), ceilings_, runs);
  }

  /// One pass, whose layers take `ms` each, by a kernel, and whose head 1 ms.
  TracedPass pass(PassShape shape, const std::string& kernel, double ms) const {
    return {
        "a pass",
        shape,
        0,
        {{"layers.0.up", problem_, kernel, ms}, {"layers.1.up", problem_, kernel, ms}, {"head", head_, "narrow", 1}}};
  }

  std::string problem_, head_;
  std::vector<std::byte> bytes_;
  MachineCeilings ceilings_;
};

constexpr double milliseconds_a_row = 1e3 * 2 * 1000 * 64 / 1e9;
constexpr double milliseconds_of_bytes = 1e3 * 1000 * 64 * 4 / 1e9;  // whatever a layout adds
constexpr double head_bytes_ms = 1e3 * 32000 * 64 * 4 / 1e9;

TEST_F(StepGroups, CountOfEachPassItsOwnRows) {
  const std::vector<StepGroup> groups =
      group({pass({0, 1024, false}, "wide", 500), pass({1024, 1, true}, "narrow", 20)}, 1);
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_EQ(groups[0].kind, "layers.*.up");
  EXPECT_EQ(groups[0].kernel, "wide");
  EXPECT_EQ(groups[0].count, 2);
  EXPECT_DOUBLE_EQ(groups[0].ms, 1000);
  EXPECT_NEAR(groups[0].limit_ms, 2 * 1024 * milliseconds_a_row, 1e-6);
  EXPECT_EQ(groups[1].kernel, "narrow");
  EXPECT_NEAR(groups[1].limit_ms, 2 * milliseconds_of_bytes, 1e-6);
  EXPECT_EQ(groups[2].kind, "head");
  EXPECT_EQ(groups[2].count, 2);
  EXPECT_NEAR(groups[2].limit_ms, head_bytes_ms, 1e-6) << "the first pass samples nothing";
}

TEST_F(StepGroups, AddPassesOfTheSameKernel) {
  const std::vector<StepGroup> groups =
      group({pass({0, 1024, false}, "wide", 500), pass({1024, 1000, true}, "wide", 400)}, 1);
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].count, 4);
  EXPECT_DOUBLE_EQ(groups[0].ms, 1800);
  EXPECT_NEAR(groups[0].limit_ms, 2 * 2024 * milliseconds_a_row, 1e-6);
}

TEST_F(StepGroups, AreThoseOfOneRun) {
  const std::vector<StepGroup> groups =
      group({pass({0, 100}, "wide", 30), pass({0, 100}, "wide", 40), pass({0, 100}, "wide", 50)}, 3);
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].count, 2);
  EXPECT_DOUBLE_EQ(groups[0].ms, 80);
  EXPECT_NEAR(groups[0].limit_ms, 2 * 100 * milliseconds_a_row, 1e-6);
}

}  // namespace
}  // namespace incipit
