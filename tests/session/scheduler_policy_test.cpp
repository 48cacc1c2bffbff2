// Who comes first, and how much of a step a prompt gets: with costs that are known exactly.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "exact_machine.h"
#include "support/sanitized.h"

namespace incipit {
namespace {

TEST(SchedulerPolicy, ChunksKeepStreamsWithinTheGap) {
  Machine machine({.max_gap_us = 10'000});
  const SequenceId stream = machine.add(8, 1000);
  machine.step();
  const SequenceId prompt = machine.add(300, 4);
  std::vector<int32_t> chunks;
  while (!machine.first_tokens.contains(prompt)) {
    const auto tokens = machine.step();
    EXPECT_EQ(tokens.at(stream), 1);
    EXPECT_LE(machine.last_us, 10'000);
    chunks.push_back(tokens.at(prompt));
  }
  EXPECT_EQ(chunks, (std::vector<int32_t>{89, 89, 89, 33}));
}

TEST(SchedulerPolicy, StreamsThatFillTheGapLeaveAPromptAsMuchTimeAsTheyTake) {
  SchedulerLimits limits = roomy_limits();
  limits.slots = limits.max_rows = limits.max_sequences = 64;
  limits.groups[0].pages = 1 << 16;
  Machine machine({.max_gap_us = 10'000}, limits);
  constexpr int streams = 63;
  constexpr int64_t own = step_us + streams * token_us;
  for (int i = 0; i < streams; ++i) machine.add(4, 1000);
  while (machine.first_tokens.size() < streams) machine.step();
  const SequenceId prompt = machine.add(300, 4);
  while (!machine.first_tokens.contains(prompt)) {
    EXPECT_EQ(machine.step().size(), streams + 1U);
    EXPECT_LE(machine.last_us, 10'000 + own);
  }
  EXPECT_LE(machine.first_tokens.at(prompt), 2 * (step_us + 300 * token_us));
}

/// A machine of random costs, with streams that were begun, and a prompt beside them.
struct RandomLoad {
  int64_t gap_us;
  StepCosts costs;
  int32_t streams, prompt;
  std::vector<int32_t> contexts;

  explicit RandomLoad(std::mt19937& random) : costs({1, 16, 64, 256, 512}, 16, 4096) {
    const auto pick = [&](int32_t low, int32_t high) {
      return low + static_cast<int32_t>(random() % static_cast<uint32_t>(high - low + 1));
    };
    gap_us = pick(10'000, 80'000);
    const int64_t weights_us = pick(200, 20'000), row_us = pick(5, 400), context_ns = pick(0, 2'000);
    for (const StepCosts::Cell& cell : costs.cells()) {
      const int64_t before = cell.context + cell.tokens / cell.sequences / 2;
      costs.set(cell, weights_us + row_us * cell.tokens + context_ns * cell.tokens * before / 1000);
    }
    streams = pick(1, 15);
    prompt = pick(64, 3000);
    for (int32_t i = 0; i < streams; ++i) contexts.push_back(pick(4, 1000));
  }
  SchedulerLimits limits() const {
    SchedulerLimits limits = roomy_limits();
    limits.slots = limits.max_rows = limits.max_sequences = 16;
    limits.groups[0].pages = 1 << 16;
    return limits;
  }
  void begin_streams(Machine& machine) const {
    for (const int32_t context : contexts) machine.add(context, 3000);
    while (machine.first_tokens.size() < contexts.size()) machine.step();
  }
};

/// What the streams of a machine's last step take without its prompts.
StepWork streams_of(const StepWork& step) {
  StepWork streams;
  streams.decodes = step.decodes;
  streams.decode_context = step.decode_context;
  return streams;
}

TEST(SchedulerPolicy, BoundsHoldBothWaysWhateverStepsCost) {
  int32_t bound_both_ways = 0;
  for (uint32_t seed = 1; seed <= (sanitized ? 10u : 300u); ++seed) {
    std::mt19937 random(seed);
    const RandomLoad load(random);
    Machine machine({.max_gap_us = load.gap_us}, load.limits(), load.costs);
    load.begin_streams(machine);
    const SequenceId prompt = machine.add(load.prompt, 4);
    int64_t most_own = 0, longest = 0;
    while (!machine.first_tokens.contains(prompt)) {
      ASSERT_EQ(machine.step().size(), load.contexts.size() + 1) << "every stream and the prompt have a share";
      StepWork least = streams_of(machine.scheduler.work());
      const int64_t own = load.costs.predict(least);
      least.add_chunk(load.prompt, Scheduler::least_chunk);
      EXPECT_LE(machine.last_us, std::max(load.gap_us + own, load.costs.predict(least))) << "seed " << seed;
      most_own = std::max(most_own, own);
      longest = std::max(longest, machine.last_us);
    }
    // Streams that take more than that of the gap leave no room for a prompt's bound.
    if (5 * most_own > 4 * load.gap_us) continue;
    ++bound_both_ways;
    const int64_t alone = load.costs.predict_prompt(load.prompt);
    EXPECT_LE(machine.first_tokens.at(prompt), 2 * alone + longest) << "seed " << seed;
  }
  EXPECT_GT(bound_both_ways, sanitized ? 2 : 100);
}

TEST(SchedulerPolicy, BoundsHoldOnAMachineThatHasBecomeSlower) {
  for (uint32_t seed = 1; seed <= (sanitized ? 4u : 100u); ++seed) {
    std::mt19937 random(seed);
    const RandomLoad load(random);
    Machine machine({.max_gap_us = load.gap_us}, load.limits(), load.costs);
    load.begin_streams(machine);
    machine.slowness = 2;
    for (int i = 0; i < 30; ++i) machine.step();
    const SequenceId prompt = machine.add(load.prompt, 4);
    int64_t most_own = 0, longest = 0;
    while (!machine.first_tokens.contains(prompt)) {
      machine.step();
      StepWork least = streams_of(machine.scheduler.work());
      const int64_t own = machine.slowness * load.costs.predict(least);
      least.add_chunk(load.prompt, Scheduler::least_chunk);
      const int64_t bound = std::max(load.gap_us + own, machine.slowness * load.costs.predict(least));
      // Of what slowed streams down their own cells took a third: a prompt's are 2^(1/3) times as slow as predicted.
      EXPECT_LE(machine.last_us, bound * 4 / 3) << "seed " << seed;
      most_own = std::max(most_own, own);
      longest = std::max(longest, machine.last_us);
    }
    if (3 * most_own > 2 * load.gap_us) continue;
    const int64_t alone = machine.slowness * load.costs.predict_prompt(load.prompt);
    EXPECT_LE(machine.first_tokens.at(prompt), 2 * alone + longest) << "seed " << seed;
  }
}

TEST(SchedulerPolicy, AGapThatNoStepKeepsGivesAPromptTheLeastChunk) {
  Machine machine({.max_gap_us = 500});
  const SequenceId stream = machine.add(8, 1000);
  machine.step();
  const SequenceId prompt = machine.add(40, 4);
  for (const int32_t chunk : {16, 16, 8}) {
    const auto tokens = machine.step();
    EXPECT_EQ(tokens.at(stream), 1);
    EXPECT_EQ(tokens.at(prompt), chunk);
  }
}

TEST(SchedulerPolicy, WithoutStreamsStepsAreLongerAndWithOnePromptLongest) {
  Machine machine({.max_gap_us = 4'000});
  machine.add(1000, 4);
  machine.step();
  EXPECT_NEAR(static_cast<double>(machine.last_us), 32'000, token_us);
  machine.add(300, 4);
  machine.step();
  EXPECT_NEAR(static_cast<double>(machine.last_us), 8'000, token_us);
}

TEST(SchedulerPolicy, AShortPromptGoesBeforeLongOnesUntilTheirTimeHasCome) {
  Machine machine({.max_gap_us = 10'000});
  std::vector<SequenceId> longs;
  for (int i = 0; i < 3; ++i) longs.push_back(machine.add(3000, 1));
  machine.step();
  const SequenceId quick = machine.add(20, 1);
  machine.run_until_first_token(quick);
  EXPECT_LE(machine.first_tokens.at(quick), 2 * 20'000);
  // A stream of short prompts that fills the machine does not keep the long ones from their deadline for ever.
  while (!machine.first_tokens.contains(longs[2])) {
    for (int i = 0; i < 3; ++i) machine.add(50, 1);
    machine.step();
    ASSERT_LT(machine.now, 60'000'000) << "a long prompt starves";
  }
  EXPECT_LE(machine.first_tokens.at(longs[0]), 10 * 320'000);
}

TEST(SchedulerPolicy, InOrderIsInOrder) {
  Machine machine({.in_order = true});
  const SequenceId first = machine.add(2000, 1);
  const SequenceId quick = machine.add(100, 1, {.first_token_us = 1, .priority = -5});
  machine.run_until_first_token(quick);
  EXPECT_TRUE(machine.first_tokens.contains(first));
}

TEST(SchedulerPolicy, ADeadlineOfItsOwnComesFirst) {
  Machine machine({.max_gap_us = 10'000});
  machine.add(3000, 1);
  machine.add(1000, 1);
  const SequenceId urgent = machine.add(1000, 1, {.first_token_us = 200'000});
  machine.run_until_first_token(urgent);
  EXPECT_LE(machine.first_tokens.at(urgent), 200'000);
}

TEST(SchedulerPolicy, PriorityTakesASlotAndWhoLostItComesBack) {
  Machine machine({.max_gap_us = 10'000});
  std::vector<SequenceId> streams;
  for (int i = 0; i < 4; ++i) streams.push_back(machine.add(8, 400, {.priority = 2}));
  while (machine.first_tokens.size() < 4) machine.step();
  const SequenceId important = machine.add(50, 1, {.priority = 1});
  machine.step();
  EXPECT_TRUE(machine.first_tokens.contains(important));
  EXPECT_EQ(machine.step().size(), 4U) << "the last of them is back";
  const SequenceId equal = machine.add(50, 1, {.priority = 2});
  for (int i = 0; i < 20; ++i) machine.step();
  EXPECT_FALSE(machine.first_tokens.contains(equal)) << "nobody gives way to an equal";
}

TEST(SchedulerPolicy, WhoWasPreemptedIsNotPreemptedForEver) {
  Machine machine({.max_gap_us = 10'000});
  const SequenceId low = machine.add(8, 200, {.priority = 1});
  machine.step();
  // More than the machine can do, of a higher priority.
  while (machine.now < 40'000'000 && machine.left(low) > 0) {
    if (machine.scheduler.waiting() < 50) machine.add(40, 20);
    machine.step();
  }
  EXPECT_EQ(machine.left(low), 0) << "it runs, whoever has come since";
}

TEST(SchedulerPolicy, TheBatchClassTakesWhatIsLeft) {
  Machine machine({.max_gap_us = 5'000});
  constexpr int32_t batch = SequenceTerms::batch_priority;
  for (int i = 0; i < 4; ++i) machine.add(100, 1000, {.priority = batch});
  while (machine.first_tokens.size() < 4) machine.step();
  const int64_t begun = machine.now;
  const SequenceId prompt = machine.add(300, 5);
  machine.run_until_first_token(prompt);
  EXPECT_LE(machine.now - begun, 300 * token_us + 10 * step_us) << "a slot at once, and steps to itself";
  int32_t in_steps = 0;
  for (int i = 0; i < 3; ++i) in_steps += static_cast<int32_t>(machine.step().size());
  EXPECT_EQ(in_steps, 3 * 4) << "beside a stream, steps have room for three of them";
}

TEST(SchedulerPolicy, TenantsHaveTheirShareOfTheTime) {
  Machine machine({.max_gap_us = 20'000});
  const auto terms_of = [](uint64_t tenant, int32_t weight) {
    SequenceTerms terms;
    terms.tenant = tenant;
    terms.weight = weight;
    return terms;
  };
  // One asks for much that is long, another for what is short; the third has twice their weight.
  std::map<SequenceId, uint64_t> owner;
  std::map<uint64_t, int64_t> waiting, tokens;
  while (machine.now < 60'000'000) {
    for (const auto& [tenant, prompt, weight] : {std::tuple(1, 900, 1), std::tuple(2, 60, 1), std::tuple(3, 300, 2)}) {
      while (waiting[static_cast<uint64_t>(tenant)] < 30) {
        const SequenceId id = machine.add(prompt, 1, terms_of(static_cast<uint64_t>(tenant), weight));
        owner[id] = static_cast<uint64_t>(tenant);
        ++waiting[static_cast<uint64_t>(tenant)];
      }
    }
    const size_t before = machine.first_tokens.size();
    for (const auto& [id, count] : machine.step()) tokens[owner.at(id)] += count;
    if (machine.first_tokens.size() == before) continue;
    for (auto& [tenant, count] : waiting) count = 0;
    for (const auto& [id, tenant] : owner) waiting[tenant] += !machine.first_tokens.contains(id);
    std::erase_if(owner, [&](const auto& entry) { return machine.first_tokens.contains(entry.first); });
  }
  const auto share = [&](uint64_t tenant) { return static_cast<double>(tokens.at(tenant)); };
  EXPECT_LT(share(1) / share(2), 2);
  EXPECT_LT(share(2) / share(1), 2);
  EXPECT_LT(share(3) / (2 * share(1)), 2);
  EXPECT_LT(2 * share(1) / share(3), 2);
}

TEST(SchedulerPolicy, PredictsFirstTokens) {
  Machine machine({.max_gap_us = 10'000});
  const auto predict = [&](int32_t prompt) {
    SequenceTerms terms;
    terms.arrival_us = machine.now;
    return machine.scheduler.predict_first_token(count_up(prompt), terms);
  };
  EXPECT_NEAR(static_cast<double>(predict(300)), 2 * step_us + 300 * token_us, 2 * step_us);
  machine.add(8, 1000);
  machine.step();
  for (const int32_t tokens : {2000, 300, 40}) {
    const int64_t predicted = predict(tokens);
    const SequenceId id = machine.add(tokens, 1);
    machine.run_until_first_token(id);
    EXPECT_NEAR(static_cast<double>(predicted), static_cast<double>(machine.first_tokens.at(id)),
                0.1 * static_cast<double>(predicted));
  }
  for (int i = 0; i < 20; ++i) machine.add(1000, 1);
  const int64_t predicted = predict(1000);
  const SequenceId last = machine.add(1000, 1);
  machine.run_until_first_token(last);
  EXPECT_NEAR(static_cast<double>(predicted), static_cast<double>(machine.first_tokens.at(last)),
              0.2 * static_cast<double>(predicted));
}

}  // namespace
}  // namespace incipit
