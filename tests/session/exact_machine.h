// A scheduler and a machine whose steps take exactly as long as is predicted.
#pragma once

#include <gtest/gtest.h>

#include <map>

#include "scheduler_simulator.h"
#include "session/scheduler.h"

namespace incipit {

inline constexpr int64_t step_us = 1000, token_us = 100;

inline StepCosts exact_costs(int32_t most_tokens, int32_t sequences) {
  StepCosts costs({1, most_tokens}, sequences, 4096);
  for (const StepCosts::Cell& cell : costs.cells()) costs.set(cell, step_us + token_us * cell.tokens);
  return costs;
}

inline SchedulerLimits roomy_limits() {
  SchedulerLimits limits;
  limits.max_context = 4096;
  limits.slots = limits.max_rows = limits.max_sequences = 4;
  limits.max_tokens = 512;
  limits.groups = {{16, 0, 4096}};
  return limits;
}

/// A machine that takes as long as it is said to.
class Machine {
 public:
  explicit Machine(const SchedulerPolicy& policy, const SchedulerLimits& limits = roomy_limits())
      : Machine(policy, limits, exact_costs(limits.max_tokens, limits.slots)) {}
  Machine(const SchedulerPolicy& policy, const SchedulerLimits& limits, const StepCosts& costs)
      : scheduler(limits, policy, costs), truth(costs) {}

  SequenceId add(int32_t prompt, int32_t new_tokens, SequenceTerms terms = {}) {
    terms.arrival_us = now;
    const SequenceId id = next_++;
    EXPECT_TRUE(scheduler.add(id, count_up(prompt), prompt + new_tokens, terms));
    left_[id] = new_tokens;
    arrivals_[id] = now;
    return id;
  }
  /// A step; its tokens by sequence.
  std::map<SequenceId, int32_t> step(int64_t longest_us = INT64_MAX) {
    const auto entries = scheduler.schedule(longest_us);
    std::map<SequenceId, int32_t> tokens;
    std::vector<SequenceId> samples;
    for (const ScheduledEntry& entry : entries) {
      tokens[entry.id] = entry.tokens;
      if (entry.samples) samples.push_back(entry.id);
    }
    if (tokens.empty()) return tokens;
    last_us = slowness * truth.predict(scheduler.work());
    now += last_us;
    scheduler.ran(last_us);
    for (const SequenceId id : samples) {
      scheduler.learn(id, 1);
      first_tokens.try_emplace(id, now - arrivals_[id]);
      if (--left_[id] == 0) scheduler.remove(id);
    }
    return tokens;
  }
  bool has_work() const { return scheduler.waiting() + scheduler.running() > 0; }
  int32_t left(SequenceId id) const { return left_.at(id); }
  void run_until_first_token(SequenceId id) {
    for (int i = 0; i < 10'000 && !first_tokens.contains(id); ++i) step();
  }

  Scheduler scheduler;
  StepCosts truth;       // what the scheduler was told at first
  int64_t slowness = 1;  // how many times as long steps take
  int64_t now = 1'000'000, last_us = 0;
  std::map<SequenceId, int64_t> first_tokens;  // after the arrival

 private:
  SequenceId next_ = 1;
  std::map<SequenceId, int32_t> left_;
  std::map<SequenceId, int64_t> arrivals_;
};

}  // namespace incipit
