// Paired times: what is concluded of times that are made up, and that two engines are timed.
#include "measure/paired_probe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "measured_engines.h"

namespace incipit {
namespace {

/// Pairs whose ratio is `factor`, but for noise that both share and noise of their own.
PairedTimes made_up(double factor, double noise, int32_t pairs, uint32_t seed) {
  std::mt19937 random(seed);
  std::lognormal_distribution<double> own(0, noise), shared(0, 0.5);
  PairedTimes times;
  for (int32_t i = 0; i < pairs; ++i) {
    const double machine = 10 * shared(random);
    times.older.push_back(machine * own(random));
    times.newer.push_back(machine * own(random) * factor);
  }
  return times;
}

TEST(PairedTimes, TellSlowerFromEqual) {
  EXPECT_EQ(judge(made_up(1.0, 0.02, 20, 1), 1.1).verdict, PaceVerdict::faster_or_equal);
  EXPECT_EQ(judge(made_up(0.5, 0.02, 20, 2), 1.1).verdict, PaceVerdict::faster_or_equal);
  EXPECT_EQ(judge(made_up(1.3, 0.02, 20, 3), 1.1).verdict, PaceVerdict::slower);
  EXPECT_EQ(judge(made_up(1.1, 0.05, 20, 4), 1.1).verdict, PaceVerdict::inconclusive);
  EXPECT_EQ(judge(made_up(1.0, 0.5, 20, 5), 1.1).verdict, PaceVerdict::inconclusive) << "too much noise";
}

TEST(PairedTimes, FewPairsSayNothing) {
  for (int32_t pairs = 0; pairs < 8; ++pairs) {
    const Pace pace = judge(made_up(3, 0.001, pairs, 6), 1.1);
    EXPECT_EQ(pace.verdict, PaceVerdict::inconclusive) << pairs;
    EXPECT_EQ(pace.pairs, pairs);
  }
  const Pace eight = judge(made_up(3, 0.001, 8, 6), 1.1);
  EXPECT_EQ(eight.verdict, PaceVerdict::slower);
  EXPECT_GT(eight.low, 2.9);
}

TEST(PairedTimes, AnOutlierChangesNothing) {
  PairedTimes times = made_up(1.0, 0.01, 21, 7);
  times.newer[3] *= 1000;
  times.older[9] *= 1000;
  const Pace pace = judge(times, 1.1);
  EXPECT_EQ(pace.verdict, PaceVerdict::faster_or_equal);
  EXPECT_NEAR(pace.ratio, 1, 0.02);
}

TEST(PairedTimes, TheIntervalHoldsTheTrueRatioAsOftenAsItSays) {
  for (const int32_t pairs : {8, 13, 40}) {
    int held = 0;
    constexpr int trials = 2000;
    for (uint32_t seed = 0; seed < trials; ++seed) {
      const Pace pace = judge(made_up(1.2, 0.1, pairs, 100 + seed), 1.1);
      held += pace.low <= 1.2 && 1.2 <= pace.high ? 1 : 0;
    }
    // 99 % at least; of 2,000 trials fewer than 1,960 are less likely than one in 10,000.
    EXPECT_GE(held, 1960) << pairs;
  }
}

TEST(PairedProbe, TimesPromptsOfTheBucketsAndDecoding) {
  const auto older = gateway_of(golden_engine("f32")), newer = gateway_of(golden_engine("int8"));
  PairedOptions options;
  options.least_pairs = options.most_pairs = 8;
  options.decode_tokens = 4;
  int told = 0;
  const std::vector<PairedResult> results = probe_pairs(*older, *newer, options, [&] { ++told; });
  const std::vector<int32_t> prompts = paired_prompts(*older, *newer);
  EXPECT_EQ(prompts.back(), 160);
  ASSERT_EQ(results.size(), prompts.size() + 1);
  EXPECT_EQ(told, std::ssize(results));
  EXPECT_EQ(results.back().kind, "decode");
  for (const PairedResult& result : results) {
    EXPECT_GE(result.pace.pairs, 8);
    EXPECT_GT(result.pace.older_ms, 0);
    EXPECT_GT(result.pace.newer_ms, 0);
    EXPECT_LE(result.pace.low, result.pace.ratio);
    EXPECT_LE(result.pace.ratio, result.pace.high);
  }
}

}  // namespace
}  // namespace incipit
