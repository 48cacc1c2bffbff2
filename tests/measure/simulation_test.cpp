// Traces replayed on the scheduler.
#include "measure/simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace incipit {
namespace {

constexpr int64_t step_us = 4000, row_us = 100;

StepCosts linear_costs() {
  StepCosts costs({1, 512}, 8, 4096);
  for (const StepCosts::Cell& cell : costs.cells()) costs.set(cell, step_us + row_us * cell.tokens);
  return costs;
}

SimulationOptions options_of(const SchedulerPolicy& policy) {
  SimulationOptions options;
  options.limits.max_context = 4096;
  options.limits.slots = options.limits.max_rows = options.limits.max_sequences = 8;
  options.limits.max_tokens = 512;
  options.limits.prefix_cache = true;
  options.limits.groups = {{16, 0, 8 * 256}};
  options.policy = policy;
  return options;
}

TEST(Simulation, AloneARequestTakesWhatTheModelSays) {
  const SimulationResult result =
      simulate(std::vector<Arrival>{{0, 300, 3, {}}}, linear_costs(), options_of({.max_gap_us = 50'000}));
  ASSERT_EQ(result.first_tokens.size(), 1U);
  constexpr int64_t expected = step_us + 300 * row_us;
  EXPECT_NEAR(static_cast<double>(result.first_tokens[0]), expected, expected / 1000.0) << "weights have ten bits";
  EXPECT_EQ(result.gaps, (std::vector<int64_t>(2, step_us + row_us)));
  EXPECT_DOUBLE_EQ(result.predictions.at(0), 1);
}

TEST(Simulation, CutsPromptsAndSharesBlocks) {
  std::vector<Arrival> arrivals{{0, 5000, 1, {7, 8}}, {10, 1500, 1, {7, 8, 9}}};
  EXPECT_EQ(cut_to_context(arrivals, 4096), 1);
  const SimulationResult result = simulate(arrivals, linear_costs(), options_of({}));
  EXPECT_EQ(result.prompt_tokens, 4095 + 1500);
  EXPECT_EQ(result.cached_tokens, 1024);
}

/// Long prompts all at once, and short ones behind them.
TEST(Simulation, ShortPromptsDoNotWaitBehindLongOnes) {
  std::vector<Arrival> arrivals;
  for (int i = 0; i < 18; ++i) arrivals.push_back({0, 3000, 8, {}});
  for (int i = 0; i < 11; ++i) arrivals.push_back({0.3 * (i + 1), 100, 8, {}});
  const auto worst = [&](const SchedulerPolicy& policy) {
    const SimulationResult result = simulate(arrivals, linear_costs(), options_of(policy));
    EXPECT_EQ(result.first_tokens.size(), 29U);
    return std::pair(*std::ranges::max_element(result.slowdowns), *std::ranges::max_element(result.gaps));
  };
  const auto [slack, gap] = worst({.max_gap_us = 50'000});
  EXPECT_LE(slack, 30) << "the last of the long ones has eighteen before it";
  EXPECT_LE(gap, 50'000);
  const auto [fifo, fifo_gap] = worst({.in_order = true});
  EXPECT_GT(fifo, 4 * slack) << "a short one";
}

TEST(Simulation, RefusesWhoWouldWaitTooLong) {
  std::vector<Arrival> arrivals;
  for (int i = 0; i < 200; ++i) arrivals.push_back({0, 2000, 4, {}});
  SimulationOptions options = options_of({.max_gap_us = 50'000});
  options.most_first_token_us = 5'000'000;
  const SimulationResult result = simulate(arrivals, linear_costs(), options);
  EXPECT_GT(result.refused, 100);
  EXPECT_GT(result.first_tokens.size(), 10U);
  EXPECT_LE(*std::ranges::max_element(result.first_tokens), 6'000'000);
}

}  // namespace
}  // namespace incipit
