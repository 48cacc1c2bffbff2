// What a canary is judged by.
#include "store/canary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace incipit {
namespace {

using testing::HasSubstr;

/// Requests of 100 tokens whose first one takes about `ms`.
TrafficWindow traffic(int requests, double ms, unsigned seed, double gap_ms = 5) {
  std::mt19937 random(seed);
  std::normal_distribution<double> noise(1, 0.05);
  TrafficWindow window;
  for (int i = 0; i < requests; ++i) {
    window.first_tokens.push_back({100, ms * noise(random)});
    for (int k = 0; k < 4; ++k) window.gaps_ms.push_back(gap_ms * noise(random));
  }
  window.ended = requests;
  return window;
}

TEST(Canary, EqualVersionsAreGood) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    const WindowJudgement found = judge(traffic(60, 40, seed), traffic(30, 40, seed + 1000), {});
    EXPECT_EQ(found.verdict, WindowVerdict::good) << found.reason;
  }
}

TEST(Canary, ASlowerFirstTokenIsBadAndSaidOfItsClass) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    const WindowJudgement found = judge(traffic(60, 40, seed), traffic(30, 70, seed + 1000), {});
    EXPECT_EQ(found.verdict, WindowVerdict::bad);
    EXPECT_THAT(found.reason, HasSubstr("the first token of 65 to 256 (p95) takes 7"));
  }
}

TEST(Canary, SlowerTokensAndFailuresAreBad) {
  EXPECT_THAT(judge(traffic(60, 40, 1), traffic(40, 40, 2, 12), {}).reason, HasSubstr("the next token (p99)"));
  TrafficWindow failing = traffic(40, 40, 2);
  failing.failed = 4;
  EXPECT_THAT(judge(traffic(60, 40, 1), failing, {}).reason, HasSubstr("4 of 40 requests fail, and 0 of 60"));
  TrafficWindow live = traffic(60, 40, 1);
  live.failed = 6;
  EXPECT_EQ(judge(live, failing, {}).verdict, WindowVerdict::good) << "the live version fails as often";
}

TEST(Canary, TooFewSamplesHold) {
  EXPECT_EQ(judge(traffic(60, 40, 1), {}, {}).verdict, WindowVerdict::too_few);
  EXPECT_EQ(judge(traffic(3, 40, 1), traffic(3, 400, 2), {}).verdict, WindowVerdict::too_few);
  EXPECT_EQ(judge({}, traffic(300, 400, 2), {}).verdict, WindowVerdict::too_few);
  CanaryVerdicts verdicts(3);
  for (const WindowVerdict verdict : {WindowVerdict::bad, WindowVerdict::bad, WindowVerdict::too_few}) {
    EXPECT_FALSE(verdicts.add(verdict));
  }
  EXPECT_TRUE(verdicts.add(WindowVerdict::bad));
  CanaryVerdicts mended(3);
  for (const WindowVerdict verdict :
       {WindowVerdict::bad, WindowVerdict::bad, WindowVerdict::good, WindowVerdict::bad}) {
    EXPECT_FALSE(mended.add(verdict));
  }
}

}  // namespace
}  // namespace incipit
