// The scheduler against a simulated device: whatever the workload, what it schedules must be right.
#include "session/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "kernels/kv_pages.h"
#include "scheduler_simulator.h"
#include "support/sanitized.h"

namespace incipit {
namespace {

TEST(Scheduler, PrefillsThenDecodes) {
  Scheduler scheduler(small_limits());
  ASSERT_TRUE(scheduler.add(7, count_up(20), 30));
  auto step = scheduler.schedule();
  ASSERT_EQ(step.size(), 1U);
  EXPECT_EQ(step[0].tokens, 16);
  EXPECT_TRUE(step[0].starts);
  EXPECT_FALSE(step[0].samples);
  step = scheduler.schedule();
  ASSERT_EQ(step.size(), 1U);
  EXPECT_EQ(step[0].first_position, 16);
  EXPECT_EQ(step[0].tokens, 4);
  EXPECT_FALSE(step[0].starts);
  EXPECT_TRUE(step[0].samples);
  EXPECT_FALSE(step[0].from_last_sample);
  step = scheduler.schedule();
  ASSERT_EQ(step.size(), 1U);
  EXPECT_EQ(step[0].first_position, 20);
  EXPECT_TRUE(step[0].from_last_sample);
  EXPECT_TRUE(step[0].samples);
}

TEST(Scheduler, KeepsTheEndOfABudgetForPromptsThatEnd) {
  SchedulerLimits limits = small_limits();
  limits.max_tokens = 34;
  for (const auto& [prompt, chunks] :
       std::vector<std::pair<int32_t, std::vector<int32_t>>>{{34, {34}}, {35, {32, 3}}, {50, {32, 18}}}) {
    Scheduler scheduler(limits);
    ASSERT_TRUE(scheduler.add(1, count_up(prompt), prompt + 5));
    for (const int32_t chunk : chunks) {
      const auto step = scheduler.schedule();
      ASSERT_EQ(step.size(), 1U);
      EXPECT_EQ(step[0].tokens, chunk) << "of " << prompt;
    }
  }
  Scheduler scheduler(limits);
  ASSERT_TRUE(scheduler.add(1, count_up(50), 60));
  ASSERT_TRUE(scheduler.add(2, count_up(40), 60));
  ASSERT_TRUE(scheduler.add(3, count_up(2), 60));
  const auto step = scheduler.schedule();
  ASSERT_EQ(step.size(), 2U);
  EXPECT_EQ(step[0].id, 1);
  EXPECT_EQ(step[0].tokens, 32);
  EXPECT_EQ(step[1].id, 3);
  EXPECT_TRUE(step[1].samples);
}

TEST(Scheduler, DecodesBesideAPromptInChunks) {
  SchedulerLimits limits = small_limits();
  limits.prefill_chunk = 5;
  Scheduler scheduler(limits);
  ASSERT_TRUE(scheduler.add(1, count_up(3), 20));
  scheduler.schedule();
  ASSERT_TRUE(scheduler.add(2, count_up(12), 20));
  for (const int32_t chunk : {5, 5, 2}) {
    const auto step = scheduler.schedule();
    ASSERT_EQ(step.size(), 2U);
    EXPECT_EQ(step[0].id, 1);
    EXPECT_TRUE(step[0].from_last_sample);
    EXPECT_EQ(step[1].id, 2);
    EXPECT_EQ(step[1].tokens, chunk);
    EXPECT_EQ(step[1].samples, chunk == 2);
  }
}

TEST(Scheduler, SchedulesNothingOnceAllSamplesAreOnTheirWay) {
  Scheduler scheduler(small_limits());
  ASSERT_TRUE(scheduler.add(1, count_up(3), 5));
  EXPECT_EQ(scheduler.schedule().size(), 1U);
  EXPECT_EQ(scheduler.schedule().size(), 1U);
  EXPECT_TRUE(scheduler.schedule().empty());
  EXPECT_EQ(scheduler.free_pages(0), 64);
  scheduler.remove(1);
}

TEST(Scheduler, RefusesWhatCanNeverRun) {
  SchedulerLimits limits = small_limits();
  Scheduler scheduler(limits);
  EXPECT_TRUE(scheduler.add(1, count_up(64), 65)) << "the last sample is not fed back";
  EXPECT_FALSE(scheduler.add(2, count_up(64), 66));
  limits.groups[0].pages = 4;
  Scheduler tight(limits);
  EXPECT_TRUE(tight.add(1, count_up(16), 17));
  EXPECT_FALSE(tight.add(2, count_up(16), 18));
}

TEST(Scheduler, PreemptsTheYoungestAndPrefillsItAgainWithItsSamples) {
  SchedulerLimits limits = small_limits();
  limits.groups[0].pages = 4;
  Scheduler scheduler(limits);
  ASSERT_TRUE(scheduler.add(1, count_up(6), 16));
  ASSERT_TRUE(scheduler.add(2, count_up(2), 16));
  EXPECT_EQ(scheduler.schedule().size(), 2U);  // 2 + 1 pages
  EXPECT_EQ(scheduler.schedule().size(), 2U);
  EXPECT_EQ(scheduler.schedule().size(), 2U);  // 1 is at 8 tokens, 2 at 4
  const auto step = scheduler.schedule();      // 1 takes the last page, 2 finds none
  ASSERT_EQ(step.size(), 1U);
  EXPECT_EQ(step[0].id, 1);
  EXPECT_EQ(scheduler.waiting(), 1);
  scheduler.remove(1);
  for (const int32_t token : {10, 11}) scheduler.learn(2, token);
  EXPECT_TRUE(scheduler.schedule().empty()) << "its newest sample is not known yet";
  scheduler.learn(2, 12);
  const auto again = scheduler.schedule();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].id, 2);
  EXPECT_TRUE(again[0].starts);
  EXPECT_FALSE(again[0].from_last_sample);
  EXPECT_EQ(again[0].first_position, 0);
  EXPECT_EQ(again[0].tokens, 5);  // its prompt and three samples
  EXPECT_TRUE(again[0].samples);
}

TEST(Scheduler, NoNewcomerOvertakesOneThatWaits) {
  SchedulerLimits limits = small_limits();
  limits.groups[0].pages = 8;
  Scheduler scheduler(limits);
  ASSERT_TRUE(scheduler.add(1, count_up(16), 24));
  scheduler.schedule();
  ASSERT_TRUE(scheduler.add(2, count_up(30), 32));  // does not fit beside 1
  ASSERT_TRUE(scheduler.add(3, count_up(2), 4));    // would fit
  const auto step = scheduler.schedule();
  ASSERT_EQ(step.size(), 1U);
  EXPECT_EQ(step[0].id, 1);
}

TEST(Scheduler, RemovingOneThatWaitsLetsTheNextGo) {
  SchedulerLimits limits = small_limits();
  limits.slots = 1;
  Scheduler scheduler(limits);
  ASSERT_TRUE(scheduler.add(1, count_up(4), 8));
  ASSERT_TRUE(scheduler.add(2, count_up(4), 8));
  ASSERT_TRUE(scheduler.add(3, count_up(4), 8));
  scheduler.schedule();
  scheduler.remove(2);
  scheduler.remove(1);
  const auto step = scheduler.schedule();
  ASSERT_EQ(step.size(), 1U);
  EXPECT_EQ(step[0].id, 3);
}

/// Random limits, arrivals, early stops and cancellations; `seed` names the case.
class SchedulerProperty : public testing::TestWithParam<uint32_t> {
 protected:
  int32_t pick(int32_t low, int32_t high) { return std::uniform_int_distribution<int32_t>(low, high)(random_); }

  SchedulerLimits random_limits(bool windows) {
    SchedulerLimits limits;
    limits.max_context = pick(8, 200);
    limits.slots = pick(1, 12);
    limits.max_tokens = pick(1, 64);
    limits.max_rows = pick(1, 16);
    limits.max_sequences = pick(1, 12);
    limits.prefill_chunk = pick(0, 1) * pick(1, 32);
    const bool equal_pages = pick(0, 3) > 0;
    int32_t page_tokens = pick(1, 32);
    for (int32_t g = pick(1, 3); g > 0; --g) {
      if (!equal_pages) page_tokens = pick(1, 32);
      const int32_t window = windows ? pick(0, 1) * pick(1, 60) : 0;
      const int32_t step = std::min({limits.slots, limits.max_rows, limits.max_sequences, limits.max_tokens});
      const auto one_sequence = static_cast<int32_t>(
          most_kv_pages(page_tokens, window, limits.max_context, std::max(step, limits.max_tokens)));
      limits.groups.push_back({page_tokens, window, pick(one_sequence / 2 + 1, 3 * one_sequence)});
    }
    return limits;
  }

  /// A few texts over few tokens, of which sequences take beginnings: they have much in common.
  std::vector<int32_t> random_prompt(int32_t length) {
    const int32_t text = pick(0, 3), fork = pick(0, 2) == 0 ? pick(0, length) : length;
    std::vector<int32_t> tokens(static_cast<size_t>(length));
    for (int32_t i = 0; i < length; ++i) tokens[static_cast<size_t>(i)] = i < fork ? (i * (text + 3)) % 7 : pick(0, 2);
    return tokens;
  }

  void run(const SchedulerLimits& limits) {
    Simulator simulator(limits, pick(0, 2));
    int32_t arrivals = 60, idle = 0, steps = 0;
    SequenceId next = 1;
    while (arrivals > 0 || simulator.left() > 0) {
      ASSERT_LT(++steps, 100000) << "no end in sight";
      while (arrivals > 0 && pick(0, 3) == 0) {
        --arrivals;
        const int32_t prompt = pick(1, limits.max_context);
        const int32_t max = std::min(prompt + pick(1, 40), limits.max_context + 1);
        simulator.add(next++, random_prompt(prompt), max, static_cast<uint64_t>(pick(0, 7) == 0));
      }
      const size_t before = simulator.left();
      const int32_t ran = simulator.step();
      if (HasFailure()) return;
      // With sequences to run, a step that runs nothing means that all samples are scheduled, or on their way to us.
      idle = ran == 0 && before > 0 ? idle + 1 : 0;
      ASSERT_LT(idle, 5) << "no progress";
      for (const SequenceId id : simulator.ids()) {
        const bool stops = simulator.samples(id) > 0 && pick(0, 30) == 0;
        const bool cancelled = pick(0, 300) == 0;
        if (simulator.complete(id) || stops || cancelled) simulator.remove(id);
      }
    }
    simulator.expect_all_free();
    cached_tokens_ += simulator.cached_tokens();
  }

  std::mt19937 random_{GetParam()};
  static inline int64_t cached_tokens_ = 0;
};

TEST_P(SchedulerProperty, HoldsEveryRuleAndFinishesEverySequence) { run(random_limits(false)); }
TEST_P(SchedulerProperty, GivesPagesBehindWindowsBack) { run(random_limits(true)); }
TEST_P(SchedulerProperty, SharesPrefixesAndNeverAPageThatIsWritten) {
  SchedulerLimits limits = random_limits(GetParam() % 2 == 0);
  limits.prefix_cache = true;
  run(limits);
  if (GetParam() % 100 == 99) {
    EXPECT_GT(cached_tokens_, 0) << "the cache never found anything";
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SchedulerProperty, testing::Range(0U, sanitized ? 40U : 200U));

TEST(Scheduler, PreemptionHappensInTheSimulatedWorkloads) {
  SchedulerLimits limits = small_limits();
  limits.groups = {{2, 0, 34}};
  Simulator simulator(limits);
  for (SequenceId id = 1; id <= 8; ++id) simulator.add(id, 5, 40);
  while (simulator.left() > 0) {
    simulator.step();
    for (const SequenceId id : simulator.ids()) {
      if (simulator.complete(id)) simulator.remove(id);
    }
  }
  EXPECT_GT(simulator.preemptions(), 0);
  simulator.expect_all_free();
}

SchedulerLimits caching_limits(int32_t window = 0) {
  SchedulerLimits limits = small_limits();
  limits.prefix_cache = true;
  limits.max_context = 256;
  limits.groups = {{4, window, 64}};
  return limits;
}

/// Runs a sequence to its end, and says how many tokens of its prompt it found.
int32_t run_one(Simulator& simulator, SequenceId id, const std::vector<int32_t>& prompt, int32_t max,
                uint64_t salt = 0) {
  const int64_t before = simulator.cached_tokens();
  EXPECT_TRUE(simulator.add(id, prompt, max, salt));
  while (!simulator.complete(id)) simulator.step();
  simulator.step();  // the last sample is told
  const auto found = static_cast<int32_t>(simulator.cached_tokens() - before);
  simulator.remove(id);
  return found;
}

TEST(PrefixCaching, FindsAllButTheLastTokenOfThePromptBefore) {
  Simulator simulator(caching_limits());
  EXPECT_EQ(run_one(simulator, 1, count_up(16), 18), 0);
  EXPECT_EQ(run_one(simulator, 2, count_up(16), 18), 15) << "three pages, and a copy of the fourth";
  EXPECT_EQ(run_one(simulator, 3, count_up(11), 13), 10) << "two pages, and a copy of the third";
  EXPECT_EQ(run_one(simulator, 4, count_up(1), 3), 0);
}

TEST(PrefixCaching, GoesOnBehindAnEarlierAnswer) {
  Simulator simulator(caching_limits());
  ASSERT_TRUE(simulator.add(1, count_up(6), 12));
  while (!simulator.complete(1)) simulator.step();
  simulator.step();
  std::vector<int32_t> chat = simulator.tokens(1);
  simulator.remove(1);
  ASSERT_EQ(chat.size(), 12U);
  for (int32_t i = 0; i < 5; ++i) chat.push_back(100 + i);
  EXPECT_EQ(run_one(simulator, 2, chat, 20), 11) << "all but the last sample, which was never fed";
}

/// Pages ask for a title and for tags behind each turn of a chat: other instructions, then all of the chat. With pages
/// for the three of them the chat is found whole however many turns it has.
TEST(PrefixCaching, ATitleAndTagsLeaveTheChatInPlace) {
  constexpr int32_t turns = 12, asked = 5, answered = 6, instruction = 9;
  constexpr int32_t most = turns * (asked + answered) + instruction + answered;
  SchedulerLimits limits = caching_limits();
  limits.groups = {{4, 0, 3 * (most / 4 + 1)}};
  Simulator simulator(limits);
  std::vector<int32_t> chat;
  SequenceId next = 1;
  for (int32_t turn = 0; turn < turns; ++turn) {
    const auto before = static_cast<int32_t>(chat.size());
    for (int32_t i = 0; i < asked; ++i) chat.push_back(100 + turn * asked + i);
    const int64_t cached = simulator.cached_tokens();
    ASSERT_TRUE(simulator.add(next, chat, before + asked + answered));
    while (!simulator.complete(next)) simulator.step();
    simulator.step();
    EXPECT_EQ(simulator.cached_tokens() - cached, std::max(0, before - 1))
        << "all but the last sample, in turn " << turn;
    chat = simulator.tokens(next);
    simulator.remove(next++);
    for (const int32_t kind : {2000, 3000}) {
      std::vector<int32_t> aside(instruction, kind + turn);  // differs from turn to turn
      aside.insert(aside.end(), chat.begin(), chat.end());
      run_one(simulator, next++, aside, static_cast<int32_t>(aside.size()) + answered);
    }
  }
}

TEST(PrefixCaching, KeepsSaltsApart) {
  Simulator simulator(caching_limits());
  run_one(simulator, 1, count_up(16), 18, 1);
  EXPECT_EQ(run_one(simulator, 2, count_up(16), 18, 2), 0);
  EXPECT_EQ(run_one(simulator, 3, count_up(16), 18, 1), 15);
}

TEST(PrefixCaching, FindsPagesOfASequenceThatStillRuns) {
  Simulator simulator(caching_limits());
  ASSERT_TRUE(simulator.add(1, count_up(16), 200));
  simulator.step();
  simulator.step();
  EXPECT_EQ(run_one(simulator, 2, count_up(16), 18), 15);
}

TEST(PrefixCaching, SharesWhatACompanionComputedBeforeTheFirstToken) {
  Simulator simulator(caching_limits());
  ASSERT_TRUE(simulator.add(1, count_up(32), 40));
  ASSERT_TRUE(simulator.add(2, count_up(32), 40));  // admitted in the same step, but behind the budget
  simulator.step();
  simulator.step();
  simulator.step();
  EXPECT_GE(simulator.cached_tokens(), 28);
}

TEST(PrefixCaching, TakesThePagesThatNobodyUsedForLongest) {
  SchedulerLimits limits = caching_limits();
  limits.groups = {{4, 0, 12}};
  Simulator simulator(limits);
  std::vector<int32_t> other = count_up(16), third = count_up(16);
  for (int32_t& token : other) token += 1000;
  for (int32_t& token : third) token += 2000;
  run_one(simulator, 1, count_up(16), 18);
  run_one(simulator, 2, other, 18);
  EXPECT_EQ(run_one(simulator, 3, count_up(16), 18), 15);
  run_one(simulator, 4, third, 18);
  EXPECT_EQ(run_one(simulator, 5, count_up(16), 18), 15) << "it was used later than the other";
  EXPECT_LT(run_one(simulator, 6, other, 18), 15);
}

TEST(PrefixCaching, AWindowIsFoundOnlyWhereItsPagesStillAre) {
  Simulator simulator(caching_limits(8));
  run_one(simulator, 1, count_up(100), 102);
  EXPECT_EQ(run_one(simulator, 2, count_up(100), 102), 99);
  SchedulerLimits tight = caching_limits(8);
  tight.groups[0].pages = 8;  // a window and a step
  Simulator small(tight);
  run_one(small, 1, count_up(100), 102);
  EXPECT_EQ(run_one(small, 2, count_up(50), 52), 0) << "those pages were needed again";
  EXPECT_EQ(run_one(small, 3, count_up(50), 52), 49);
}

TEST(Scheduler, ALongTextNeedsNoMorePagesThanItsWindowAndAStep) {
  SchedulerLimits limits = small_limits();
  limits.max_context = 1000;
  limits.groups = {{4, 10, 8}};
  Simulator simulator(limits);
  ASSERT_TRUE(simulator.add(1, 900, 1001));
  while (!simulator.complete(1)) simulator.step();
  simulator.remove(1);
  simulator.expect_all_free();
}

}  // namespace
}  // namespace incipit
