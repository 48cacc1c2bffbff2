// Several engines on one device: who is next, and for how long.
#include "session/step_turns.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "exact_machine.h"
#include "session/device_lease.h"

namespace incipit {
namespace {

using Engine = StepTurns::Engine;

TEST(StepTurns, NobodyBoundsWhoIsAlone) {
  StepTurns turns(50'000);
  const Engine one = turns.join(), other = turns.join();
  EXPECT_EQ(turns.next(0), StepTurns::nobody);
  turns.want(one, {5'000, true}, 0);
  EXPECT_EQ(turns.next(0), one);
  EXPECT_EQ(turns.longest(one, 10'000), INT64_MAX);
  turns.want(other, {1'000, true}, 0);
  EXPECT_EQ(turns.longest(one, 10'000), 39'000);
  turns.ran(other, 10'000, 10'000);
  turns.rest(other);
  EXPECT_EQ(turns.longest(one, 10'000), 40'000) << "its streams have waited for the other";
  turns.ran(one, 40'000, 50'000);
  EXPECT_EQ(turns.longest(one, 50'000), INT64_MAX);
}

TEST(StepTurns, AStepLeavesEverybodyTimeForALeastOne) {
  StepTurns turns(50'000);
  const Engine prompt = turns.join(), first = turns.join(), second = turns.join();
  turns.want(prompt, {2'000, false}, 0);
  turns.want(first, {5'000, true}, 0);
  turns.want(second, {7'000, true}, 0);
  EXPECT_EQ(turns.longest(prompt, 0), 38'000);
  turns.ran(prompt, 38'000, 38'000);
  EXPECT_EQ(turns.next(38'000), first);
  EXPECT_EQ(turns.longest(first, 38'000), 5'000);
  turns.ran(first, 5'000, 43'000);
  EXPECT_EQ(turns.next(43'000), second);
}

TEST(StepTurns, WithoutStreamsStepsAreTwiceAsLong) {
  StepTurns turns(50'000);
  const Engine one = turns.join(), other = turns.join();
  turns.want(one, {2'000, false}, 0);
  turns.want(other, {3'000, false}, 0);
  EXPECT_EQ(turns.longest(one, 0), 97'000);
}

TEST(StepTurns, WhoCannotAllBeInTimeComesInTurn) {
  StepTurns turns(50'000);
  std::vector<Engine> engines;
  for (int i = 0; i < 3; ++i) {
    engines.push_back(turns.join());
    turns.want(engines.back(), {i == 2 ? 1'000 : 40'000, i != 2}, 0);
  }
  std::map<Engine, int> steps;
  for (int64_t now = 0, i = 0; i < 30; ++i) {
    const Engine next = turns.next(now);
    const int64_t us = next == engines[2] ? 1'000 : 40'000;
    now += us;
    turns.ran(next, us, now);
    ++steps[next];
  }
  for (const Engine engine : engines) EXPECT_GE(steps[engine], 9);
}

TEST(StepTurns, AFirstStepLongAgoIsNotHeldAgainstAnEngine) {
  StepTurns turns(50'000);
  const Engine old = turns.join(), young = turns.join();
  turns.want(old, {1'000, true}, 0);
  turns.ran(old, 10'000'000, 10'000'000);
  turns.rest(old);
  turns.want(young, {1'000, true}, 10'000'000);
  turns.want(old, {1'000, true}, 10'000'000);
  turns.ran(young, 2'000, 10'002'000);
  EXPECT_EQ(turns.next(10'002'000), old) << "what it had while it was alone does not count";
}

/// Schedulers with costs that are known exactly share a device.
struct Shared {
  explicit Shared(size_t count, int64_t max_gap_us) : turns(max_gap_us) {
    for (size_t i = 0; i < count; ++i) {
      machines.push_back(std::make_unique<Machine>(SchedulerPolicy{.max_gap_us = max_gap_us}));
      turns.join();
      had.push_back(0);
    }
  }
  SequenceId add(size_t engine, int32_t prompt, int32_t new_tokens) {
    machines[engine]->now = now;
    const SequenceId id = machines[engine]->add(prompt, new_tokens);
    want(engine);
    return id;
  }
  void want(size_t engine) {
    const auto name = static_cast<Engine>(engine);
    machines[engine]->has_work() ? turns.want(name, machines[engine]->scheduler.least_step(), now) : turns.rest(name);
  }
  /// The next engine's step; its tokens by sequence.
  std::pair<size_t, std::map<SequenceId, int32_t>> step() {
    const Engine next = turns.next(now);
    const auto engine = static_cast<size_t>(next);
    Machine& machine = *machines[engine];
    machine.now = now;
    auto tokens = machine.step(turns.longest(next, now));
    now = machine.now;
    had[engine] += machine.last_us;
    turns.ran(next, machine.last_us, now);
    want(engine);
    return {engine, std::move(tokens)};
  }

  StepTurns turns;
  std::vector<std::unique_ptr<Machine>> machines;
  std::vector<int64_t> had;  // of the device's time
  int64_t now = 1'000'000;
};

TEST(StepTurns, APromptOfOneEngineKeepsNoStreamOfAnotherWaiting) {
  constexpr int64_t max_gap_us = 20'000;
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    Shared shared(3, max_gap_us);
    std::map<std::pair<size_t, SequenceId>, int64_t> last;
    const auto step = [&] {
      const auto [engine, tokens] = shared.step();
      for (const auto& [id, count] : tokens) {
        const auto stream = std::pair(engine, id);
        const bool talks = shared.machines[engine]->first_tokens.contains(id);
        if (const auto before = last.find(stream); before != last.end()) {
          // A step that others had left room for may have one more stream in it by now.
          EXPECT_LE(shared.now - before->second, max_gap_us + step_us) << "round " << round;
        }
        if (talks) last[stream] = shared.now;
      }
    };
    for (int i = 0; i < 300; ++i) {
      if (random() % 8 == 0) {
        const auto engine = random() % 3;
        if (shared.machines[engine]->scheduler.running() + shared.machines[engine]->scheduler.waiting() < 4) {
          shared.add(engine, static_cast<int32_t>(1 + random() % 1500), static_cast<int32_t>(1 + random() % 40));
        }
      }
      if (shared.turns.busy() > 0) step();
    }
    while (shared.turns.busy() > 0) step();  // every request comes to its end
  }
}

TEST(StepTurns, EnginesHaveTheDeviceInEqualShares) {
  Shared shared(3, 20'000);
  shared.add(0, 4, 4000);  // a stream
  const SequenceId prompt = shared.add(1, 4000, 4);
  shared.add(2, 4000, 4);
  while (!shared.machines[1]->first_tokens.contains(prompt)) shared.step();
  const auto [least, most] = std::ranges::minmax(shared.had);
  EXPECT_LE(most, 2 * least);
}

TEST(DeviceLease, OneThreadAtATimeUntilAllHaveDone) {
  DeviceLease lease(1'000);
  std::atomic<int> inside{0}, steps{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, engine = lease.join()] {
      for (int i = 0; i < 200; ++i) {
        if (i % 10 == 9) {
          if (lease.take_if_idle(engine)) lease.give_back(engine, false);
          continue;
        }
        lease.take(engine, {10, true});
        EXPECT_EQ(++inside, 1);
        ++steps;
        --inside;
        // One that nobody waits for keeps the device, as gateways with a step in flight do.
        const bool last = i % 10 == 8;
        if (last || lease.is_wanted(engine)) lease.give_back(engine, !last);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(steps, 4 * 180);
  EXPECT_TRUE(lease.take_if_idle(lease.join()));
}

}  // namespace
}  // namespace incipit
