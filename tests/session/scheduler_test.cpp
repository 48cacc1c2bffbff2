// The scheduler against a simulated device: whatever the workload, what it schedules must be right.
#include "session/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace incipit {
namespace {

SchedulerLimits small_limits() {
  SchedulerLimits limits;
  limits.max_context = 64;
  limits.slots = 4;
  limits.max_tokens = 16;
  limits.max_rows = 8;
  limits.max_sequences = 4;
  limits.groups = {{4, 0, 64}};
  return limits;
}

/// Holds every rule of a step, and knows what each sequence must do next.
class Simulator {
 public:
  explicit Simulator(const SchedulerLimits& limits) : scheduler_(limits), limits_(scheduler_.limits()) {}

  Scheduler& scheduler() { return scheduler_; }
  bool add(SequenceId id, int32_t prompt, int32_t max) {
    if (!scheduler_.add(id, prompt, max)) return false;
    sequences_[id] = {prompt, prompt, max};
    return true;
  }
  void remove(SequenceId id) {
    scheduler_.remove(id);
    sequences_.erase(id);
  }
  size_t left() const { return sequences_.size(); }
  int32_t samples(SequenceId id) const { return sequences_.at(id).known - sequences_.at(id).prompt; }
  bool complete(SequenceId id) const { return sequences_.at(id).known == sequences_.at(id).max; }
  std::vector<SequenceId> ids() const {
    std::vector<SequenceId> result;
    for (const auto& [id, sequence] : sequences_) result.push_back(id);
    return result;
  }
  int64_t preemptions() const { return preemptions_; }

  /// Schedules a step and checks it. Returns the tokens run.
  int32_t step() {
    const auto entries = scheduler_.schedule();
    int32_t tokens = 0, rows = 0, prompt_tokens = 0;
    std::set<SequenceId> seen;
    std::set<int32_t> slots;
    std::vector<std::set<int32_t>> pages(limits_.groups.size());
    bool decodes = false;
    for (const ScheduledEntry& entry : entries) {
      EXPECT_TRUE(seen.insert(entry.id).second) << "a sequence twice in a step";
      EXPECT_TRUE(slots.insert(entry.slot).second) << "a slot twice in a step";
      tokens += entry.tokens;
      rows += entry.samples;
      decodes |= entry.from_last_sample;
      if (!entry.from_last_sample) prompt_tokens += entry.tokens;
      check_entry(entry);
      check_pages(entry, pages);
    }
    EXPECT_LE(tokens, limits_.max_tokens);
    EXPECT_LE(rows, limits_.max_rows);
    EXPECT_LE(static_cast<int32_t>(entries.size()), limits_.max_sequences);
    if (decodes && limits_.prefill_chunk > 0) {
      EXPECT_LE(prompt_tokens, limits_.prefill_chunk);
    }
    note_passed_over(seen);
    return tokens;
  }

  void expect_all_free() {
    for (size_t g = 0; g < limits_.groups.size(); ++g) {
      EXPECT_EQ(scheduler_.free_pages(static_cast<int32_t>(g)), limits_.groups[g].pages) << "pages leaked";
    }
    EXPECT_EQ(scheduler_.running(), 0);
    EXPECT_EQ(scheduler_.waiting(), 0);
  }

 private:
  struct Simulated {
    int32_t prompt = 0, known = 0, max = 0, done = 0, slot = -1;
    bool passed_over = false;
  };

  void check_entry(const ScheduledEntry& entry) {
    ASSERT_TRUE(sequences_.contains(entry.id));
    Simulated& sequence = sequences_.at(entry.id);
    EXPECT_TRUE(entry.starts || !sequence.passed_over) << "sequence " << entry.id << " had to wait for its token";
    sequence.passed_over = false;
    if (entry.starts) {
      preemptions_ += sequence.slot >= 0;
      sequence.done = 0;
      sequence.slot = entry.slot;
    }
    EXPECT_LT(sequence.known, sequence.max) << "runs on after its last token";
    EXPECT_EQ(entry.slot, sequence.slot);
    EXPECT_EQ(entry.first_position, sequence.done) << "tokens out of order";
    EXPECT_GT(entry.tokens, 0);
    if (entry.from_last_sample) {
      EXPECT_EQ(entry.tokens, 1);
      EXPECT_FALSE(entry.starts);
      EXPECT_EQ(sequence.done, sequence.known - 1);
      EXPECT_GT(sequence.known, sequence.prompt);
    }
    sequence.done += entry.tokens;
    EXPECT_LE(sequence.done, sequence.known);
    EXPECT_LE(sequence.done, limits_.max_context);
    EXPECT_EQ(entry.samples, sequence.done == sequence.known);
    sequence.known += entry.samples;
  }

  void check_pages(const ScheduledEntry& entry, std::vector<std::set<int32_t>>& taken) {
    for (size_t g = 0; g < limits_.groups.size(); ++g) {
      const auto table = scheduler_.pages(entry.id, static_cast<int32_t>(g));
      EXPECT_GE(static_cast<int32_t>(table.size()) * limits_.groups[g].page_tokens,
                entry.first_position + entry.tokens);
      for (const int32_t page : table) EXPECT_TRUE(taken[g].insert(page).second) << "a page has two owners";
    }
  }

  /// A sequence that could decode must be in the step, unless it was preempted and so starts anew later.
  void note_passed_over(const std::set<SequenceId>& seen) {
    for (auto& [id, sequence] : sequences_) {
      const bool could = sequence.slot >= 0 && sequence.known > sequence.prompt &&
                         sequence.done == sequence.known - 1 && sequence.known < sequence.max;
      if (could && !seen.contains(id)) sequence.passed_over = true;
    }
  }

  Scheduler scheduler_;
  SchedulerLimits limits_;
  std::map<SequenceId, Simulated> sequences_;
  int64_t preemptions_ = 0;
};

TEST(Scheduler, PrefillsThenDecodes) {
  Scheduler scheduler(small_limits());
  ASSERT_TRUE(scheduler.add(7, 20, 30));
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

TEST(Scheduler, DecodesBesideAPromptInChunks) {
  SchedulerLimits limits = small_limits();
  limits.prefill_chunk = 5;
  Scheduler scheduler(limits);
  ASSERT_TRUE(scheduler.add(1, 3, 20));
  scheduler.schedule();
  ASSERT_TRUE(scheduler.add(2, 12, 20));
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
  ASSERT_TRUE(scheduler.add(1, 3, 5));
  EXPECT_EQ(scheduler.schedule().size(), 1U);
  EXPECT_EQ(scheduler.schedule().size(), 1U);
  EXPECT_TRUE(scheduler.schedule().empty());
  EXPECT_EQ(scheduler.free_pages(0), 64);
  scheduler.remove(1);
}

TEST(Scheduler, RefusesWhatCanNeverRun) {
  SchedulerLimits limits = small_limits();
  Scheduler scheduler(limits);
  EXPECT_TRUE(scheduler.add(1, 64, 65)) << "the last sample is not fed back";
  EXPECT_FALSE(scheduler.add(2, 64, 66));
  limits.groups[0].pages = 4;
  Scheduler tight(limits);
  EXPECT_TRUE(tight.add(1, 16, 17));
  EXPECT_FALSE(tight.add(2, 16, 18));
}

TEST(Scheduler, PreemptsTheYoungestAndPrefillsItAgainWithItsSamples) {
  SchedulerLimits limits = small_limits();
  limits.groups[0].pages = 4;
  Scheduler scheduler(limits);
  ASSERT_TRUE(scheduler.add(1, 6, 16));
  ASSERT_TRUE(scheduler.add(2, 2, 16));
  EXPECT_EQ(scheduler.schedule().size(), 2U);  // 2 + 1 pages
  EXPECT_EQ(scheduler.schedule().size(), 2U);
  EXPECT_EQ(scheduler.schedule().size(), 2U);  // 1 is at 8 tokens, 2 at 4
  const auto step = scheduler.schedule();      // 1 takes the last page, 2 finds none
  ASSERT_EQ(step.size(), 1U);
  EXPECT_EQ(step[0].id, 1);
  EXPECT_EQ(scheduler.waiting(), 1);
  scheduler.remove(1);
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
  ASSERT_TRUE(scheduler.add(1, 16, 24));
  scheduler.schedule();
  ASSERT_TRUE(scheduler.add(2, 30, 32));  // does not fit beside 1
  ASSERT_TRUE(scheduler.add(3, 2, 4));    // would fit
  const auto step = scheduler.schedule();
  ASSERT_EQ(step.size(), 1U);
  EXPECT_EQ(step[0].id, 1);
}

TEST(Scheduler, RemovingOneThatWaitsLetsTheNextGo) {
  SchedulerLimits limits = small_limits();
  limits.slots = 1;
  Scheduler scheduler(limits);
  ASSERT_TRUE(scheduler.add(1, 4, 8));
  ASSERT_TRUE(scheduler.add(2, 4, 8));
  ASSERT_TRUE(scheduler.add(3, 4, 8));
  scheduler.schedule();
  scheduler.remove(2);
  scheduler.remove(1);
  const auto step = scheduler.schedule();
  ASSERT_EQ(step.size(), 1U);
  EXPECT_EQ(step[0].id, 3);
}

/// Random limits, arrivals, early stops and cancellations; `seed` names the case.
class SchedulerProperty : public testing::TestWithParam<uint32_t> {};

TEST_P(SchedulerProperty, HoldsEveryRuleAndFinishesEverySequence) {
  std::mt19937 random(GetParam());
  const auto pick = [&](int32_t low, int32_t high) {
    return std::uniform_int_distribution<int32_t>(low, high)(random);
  };
  SchedulerLimits limits;
  limits.max_context = pick(8, 200);
  limits.slots = pick(1, 12);
  limits.max_tokens = pick(1, 64);
  limits.max_rows = pick(1, 16);
  limits.max_sequences = pick(1, 12);
  limits.prefill_chunk = pick(0, 1) * pick(1, 32);
  for (int32_t g = pick(1, 3); g > 0; --g) {
    const int32_t page_tokens = pick(1, 32);
    const int32_t one_sequence = limits.max_context / page_tokens + 1;
    limits.groups.push_back({page_tokens, 0, pick(one_sequence / 2 + 1, 3 * one_sequence)});
  }
  Simulator simulator(limits);
  int32_t arrivals = 60, idle = 0, steps = 0;
  SequenceId next = 1;
  while (arrivals > 0 || simulator.left() > 0) {
    ASSERT_LT(++steps, 100000) << "no end in sight";
    while (arrivals > 0 && pick(0, 3) == 0) {
      --arrivals;
      const int32_t prompt = pick(1, limits.max_context);
      const int32_t max = std::min(prompt + pick(1, 40), limits.max_context + 1);
      simulator.add(next++, prompt, max);
    }
    const size_t before = simulator.left();
    const int32_t ran = simulator.step();
    if (HasFatalFailure()) return;
    // With sequences to run, a step that runs nothing means that all samples are scheduled: they end below.
    idle = ran == 0 && before > 0 ? idle + 1 : 0;
    ASSERT_LT(idle, 2) << "no progress";
    for (const SequenceId id : simulator.ids()) {
      const bool stops = simulator.samples(id) > 0 && pick(0, 30) == 0;
      const bool cancelled = pick(0, 300) == 0;
      if (simulator.complete(id) || stops || cancelled) simulator.remove(id);
    }
  }
  simulator.expect_all_free();
}

INSTANTIATE_TEST_SUITE_P(Seeds, SchedulerProperty, testing::Range(0U, 300U));

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

}  // namespace
}  // namespace incipit
