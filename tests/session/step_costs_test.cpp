// What steps take: told at a few shapes, asked for at others.
#include "session/step_costs.h"

#include <gtest/gtest.h>

#include <cmath>

namespace incipit {
namespace {

/// A machine that reads weights for 4 ms, computes a row in 50 µs, and reads a token of context in 2 µs for a sequence
/// that decodes.
int64_t time_of(const StepCosts::Cell& cell) {
  return 4000 + 50 * cell.tokens + 2 * int64_t{cell.tokens} * cell.context;
}

StepCosts measured_costs() {
  StepCosts costs({1, 16, 64, 256, 1024}, 16, 4096);
  for (const StepCosts::Cell& cell : costs.cells()) EXPECT_TRUE(costs.set(cell, time_of(cell)));
  return costs;
}

StepWork decodes(int32_t sequences, int32_t context) {
  StepWork work;
  for (int32_t i = 0; i < sequences; ++i) work.add_decode(context);
  return work;
}

StepWork chunk(int32_t tokens, int32_t context) {
  StepWork work;
  work.add_chunk(context, tokens);
  return work;
}

TEST(StepCosts, HaveStepsOfOneSequenceAndOfTheMostBehindEachContextAndOneOfATokenEach) {
  const StepCosts costs({1, 64}, 4, 4096);
  const std::vector<StepCosts::Cell> expected = {
      {1, 1, 0},    {1, 1, 1024}, {1, 1, 4095}, {4, 1, 0},     {4, 4, 0},     {4, 1, 1024},  {4, 4, 1024}, {4, 1, 4092},
      {4, 4, 4095}, {64, 1, 0},   {64, 4, 0},   {64, 1, 1024}, {64, 4, 1024}, {64, 1, 4032}, {64, 4, 4080}};
  EXPECT_EQ(costs.cells(), expected);
  for (const StepCosts::Cell& cell : StepCosts({1, 1088}, 16, 1024).cells()) {
    EXPECT_LE(cell.context + (cell.tokens + cell.sequences - 1) / cell.sequences, 1024);
  }
}

TEST(StepCosts, InterpolateALinearMachineExactly) {
  const StepCosts costs = measured_costs();
  const auto near = [](int64_t value, int64_t expected) {
    EXPECT_NEAR(static_cast<double>(value), static_cast<double>(expected), 0.02 * static_cast<double>(expected));
  };
  near(costs.predict(decodes(1, 0)), 4050);
  near(costs.predict(decodes(8, 500)), 4000 + 8 * (50 + 1000));
  near(costs.predict(decodes(16, 3000)), 4000 + 16 * (50 + 6000));
  near(costs.predict(chunk(700, 0)), 4000 + 700 * 50);
  near(costs.predict(chunk(100, 2000)), 4000 + 100 * (50 + 4000));
  StepWork mixed = decodes(10, 1000);
  mixed.add_chunk(200, 300);
  near(costs.predict(mixed), 4000 + 310 * 50 + 10 * 2000 + 300 * 400);
  near(costs.predict_prompt(2048), 2 * 4000 + 2048 * 50 + 2 * 1024 * 1024);
  EXPECT_EQ(costs.predict({}), 0);
}

/// Sequences that decode read a context each, however many tokens a step has besides: attention that costs what it
/// reads.
TEST(StepCosts, OfStreamsAreThoseOfTheirContexts) {
  StepCosts costs({1, 4, 16, 64}, 9, 4096);
  for (const StepCosts::Cell& cell : costs.cells()) {
    costs.set(cell, 4000 + 50 * cell.tokens + 5 * int64_t{cell.sequences} * cell.context);
  }
  for (const int32_t streams : {1, 3, 6, 8, 9}) {
    const double expected = 4000 + streams * (50 + 5 * 700);
    EXPECT_NEAR(static_cast<double>(costs.predict(decodes(streams, 700))), expected, 0.02 * expected) << streams;
  }
}

TEST(StepCosts, EstimateWhatWasNotMeasured) {
  StepCosts costs({1, 16, 256}, 16, 4096);
  EXPECT_FALSE(costs.known());
  EXPECT_EQ(costs.predict(chunk(64, 0)), 0);
  EXPECT_FALSE(costs.set({3, 1, 0}, 100)) << "no such cell";
  ASSERT_TRUE(costs.set({16, 1, 0}, 5000));
  EXPECT_TRUE(costs.known());
  EXPECT_EQ(costs.measured({16, 1, 0}), 5000);
  EXPECT_EQ(costs.measured({1, 1, 0}), std::nullopt);
  EXPECT_EQ(costs.predict(decodes(1, 0)), 5000) << "fewer rows take no longer";
  EXPECT_EQ(costs.predict(chunk(256, 0)), 80000) << "more take at most as much longer";
  ASSERT_TRUE(costs.set({1, 1, 1024}, 5000 + 1024));
  EXPECT_NEAR(static_cast<double>(costs.predict(decodes(16, 1024))), 5000 + 16 * 1024, 200)
      << "each sequence that decodes reads its own";
  EXPECT_NEAR(static_cast<double>(costs.predict(decodes(16, 4000))), 5000 + 16 * 4000, 500) << "of any length";
}

TEST(StepCosts, OfNothingFollowTheFirstStepsSeen) {
  StepCosts costs({1, 16, 256}, 16, 4096);
  costs.correct(chunk(32, 0), 6400);
  EXPECT_TRUE(costs.known());
  EXPECT_NEAR(static_cast<double>(costs.predict(chunk(32, 0))), 6400, 200);
  EXPECT_NEAR(static_cast<double>(costs.predict(chunk(256, 0))), 28800, 300);
  for (int i = 0; i < 200; ++i) costs.correct(chunk(256, 0), 100'000);
  EXPECT_NEAR(static_cast<double>(costs.predict(chunk(256, 0))), 100'000, 5000);
}

TEST(StepCosts, FollowAMachineThatSlowsDown) {
  StepCosts costs = measured_costs();
  for (int i = 0; i < 40; ++i) costs.correct(decodes(8, 500), 2 * (4000 + 8 * (50 + 1000)));
  EXPECT_NEAR(static_cast<double>(costs.predict(decodes(8, 500))), 2.0 * 12'400, 600);
  EXPECT_GT(costs.predict(chunk(256, 0)), 16'800 * 8 / 5) << "what has not run since, too";
}

TEST(StepCosts, LearnWhichStepsWereMeasuredAmiss) {
  StepCosts costs = measured_costs();
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 8; ++i) costs.correct(chunk(256, 0), 2 * time_of({256, 1, 0}));
    for (int i = 0; i < 30; ++i) costs.correct(decodes(1, 0), time_of({1, 1, 0}));
  }
  EXPECT_NEAR(static_cast<double>(costs.predict(decodes(1, 0))), 4050, 100);
  EXPECT_NEAR(static_cast<double>(costs.predict(chunk(256, 0))), 2.0 * 16'800, 2'000);
}

TEST(StepCosts, AreCorrectedByStepsWithinBounds) {
  StepCosts costs = measured_costs();
  for (int i = 0; i < 100; ++i) costs.correct(chunk(256, 0), 2 * time_of({256, 1, 0}));
  EXPECT_NEAR(static_cast<double>(costs.predict(chunk(256, 0))), 2.0 * 16800, 900);
  const int64_t at = costs.predict(chunk(256, 0));
  costs.correct(chunk(256, 0), 1'000'000'000);
  EXPECT_LT(costs.predict(chunk(256, 0)), at * 5 / 4) << "one step that was held up";
  for (int i = 0; i < 1000; ++i) costs.correct(chunk(256, 0), 1'000'000'000);
  EXPECT_LE(costs.predict(chunk(256, 0)), 4 * 16800 + 100);
  for (int i = 0; i < 1000; ++i) costs.correct(chunk(256, 0), 1);
  EXPECT_GE(costs.predict(chunk(256, 0)), 16800 / 4 - 100);
}

}  // namespace
}  // namespace incipit
