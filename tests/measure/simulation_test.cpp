// Traces replayed on the scheduler.
#include "measure/simulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <numeric>

#include "support/message_of.h"
#include "support/temporary_directory.h"

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

RequestTrace trace_of(const std::string& text) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "trace") << text;
  return read_request_trace(directory / "trace");
}

TEST(RequestTrace, ReadsAzuresAndMooncakes) {
  const RequestTrace azure = trace_of(
      "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
      "2023-12-31 23:59:59.9799600,4808,10\r\n2024-01-01 00:00:01.0000000,110,27\r\n");
  ASSERT_EQ(azure.requests.size(), 2U);
  EXPECT_EQ(azure.requests[0].arrival_us, 0);
  EXPECT_EQ(azure.requests[1].arrival_us, 1'020'040);
  EXPECT_EQ(azure.requests[1].prompt_tokens, 110);
  EXPECT_EQ(azure.requests[1].new_tokens, 27);
  EXPECT_EQ(azure.block_tokens, 0);
  const RequestTrace mooncake =
      trace_of(R"({"timestamp": 5, "input_length": 600, "output_length": 6, "hash_ids": [0, 1]})"
               "\n"
               R"({"timestamp": 2, "input_length": 500, "output_length": 4, "hash_ids": [0]})");
  EXPECT_EQ(mooncake.requests[0].prompt_tokens, 500) << "in order of arrival";
  EXPECT_EQ(mooncake.requests[1].arrival_us, 3000);
  EXPECT_EQ(mooncake.requests[1].blocks, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(mooncake.block_tokens, 512);
  EXPECT_THAT(message_of([] { trace_of("2023-11-16 18:17:03,1,x\n"); }), testing::HasSubstr("line 1"));
  EXPECT_THAT(message_of([] { trace_of("{\"timestamp\": 1}\n"); }), testing::HasSubstr("input_length"));
  EXPECT_THAT(message_of([] { trace_of("\n"); }), testing::HasSubstr("it has no requests"));
}

TEST(Simulation, AloneARequestTakesWhatTheModelSays) {
  const SimulationResult result = simulate({{{0, 300, 3, {}}}, 0}, linear_costs(), options_of({.max_gap_us = 50'000}));
  ASSERT_EQ(result.first_tokens.size(), 1U);
  constexpr int64_t expected = step_us + 300 * row_us;
  EXPECT_NEAR(static_cast<double>(result.first_tokens[0]), expected, expected / 1000.0) << "weights have ten bits";
  EXPECT_EQ(result.gaps, (std::vector<int64_t>(2, step_us + row_us)));
  EXPECT_DOUBLE_EQ(result.predictions.at(0), 1);
}

TEST(Simulation, CutsPromptsAndSharesBlocks) {
  RequestTrace trace{{{0, 5000, 1, {7, 8}}, {10'000'000, 1500, 1, {7, 8, 9}}}, 512};
  const SimulationResult result = simulate(trace, linear_costs(), options_of({}));
  EXPECT_EQ(result.cut, 1);
  EXPECT_EQ(result.prompt_tokens, 4096 + 1500);
  EXPECT_EQ(result.cached_tokens, 1024);
}

/// Long prompts all at once, and short ones behind them.
TEST(Simulation, ShortPromptsDoNotWaitBehindLongOnes) {
  RequestTrace trace;
  for (int i = 0; i < 18; ++i) trace.requests.push_back({0, 3000, 8, {}});
  for (int i = 0; i < 11; ++i) trace.requests.push_back({(i + 1) * 300'000, 100, 8, {}});
  const auto worst = [&](const SchedulerPolicy& policy) {
    const SimulationResult result = simulate(trace, linear_costs(), options_of(policy));
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
  RequestTrace trace;
  for (int i = 0; i < 200; ++i) trace.requests.push_back({0, 2000, 4, {}});
  SimulationOptions options = options_of({.max_gap_us = 50'000});
  options.most_first_token_us = 5'000'000;
  const SimulationResult result = simulate(trace, linear_costs(), options);
  EXPECT_GT(result.refused, 100);
  EXPECT_GT(result.first_tokens.size(), 10U);
  EXPECT_LE(*std::ranges::max_element(result.first_tokens), 6'000'000);
}

}  // namespace
}  // namespace incipit
