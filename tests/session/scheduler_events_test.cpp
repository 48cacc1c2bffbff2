// Ten million random events, or as many as a few seconds allow.
#include "scheduler_events.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "support/sanitized.h"

namespace incipit {
namespace {

TEST(SchedulerEvents, BreakNoRule) {
  constexpr int64_t wanted = sanitized ? 100'000 : 10'000'000, of_a_case = 20'000;
  constexpr auto longest = std::chrono::seconds(12);
  const auto end = std::chrono::steady_clock::now() + longest;
  int64_t events = 0;
  for (uint32_t seed = 1; events < wanted && std::chrono::steady_clock::now() < end; ++seed) {
    std::mt19937 random(seed);
    SchedulerEvents one([&](int32_t low, int32_t high) {
      return low + static_cast<int32_t>(random() % (static_cast<uint32_t>(high - low) + 1));
    });
    try {
      events += one.run(of_a_case);
    } catch (const std::logic_error& broken) {
      FAIL() << "seed " << seed << ": " << broken.what();
    }
  }
  RecordProperty("events", std::to_string(events));
  EXPECT_GT(events, of_a_case);
}

}  // namespace
}  // namespace incipit
