// What sampling promises beyond its kernels' agreement with the reference: its distributions, its draws, its slots.
#include <gtest/gtest.h>

#include <map>

#include "base/target.h"
#include "kernel_checks.h"
#include "kernels/sampling_rules.h"
#include "sampling_case.h"

namespace incipit {
namespace {

/// One row of logits for one slot.
struct OneRow {
  explicit OneRow(std::vector<float> row_logits) : logits(std::move(row_logits)), slots(1, 64, vocabulary()) {
    reset_slot(slots, 0, 0);
    append_token(slots, 0, 0);
  }
  int32_t vocabulary() const { return static_cast<int32_t>(logits.size()); }
  SamplingParameters& parameters() { return slots.states[0].parameters; }

  SampledRow sample(const Kernel<Sample>& kernel, int32_t position) {
    const SequenceSpan span{0, 0, 1, position, 0, 1};
    const int32_t sequence = 0;
    SampledRow result;
    const Sample::Args args{1,       1,       &span,          &sequence, &position, logits.data(), vocabulary(),
                            nullptr, nullptr, slots.arrays(), &result};
    run_kernel<Sample>(kernel, {vocabulary()}, args, kernel.configs[0], 1, TileOrder::shuffled);
    return result;
  }

  std::vector<float> logits;
  HostSlots slots;
};

/// The distribution of 40,000 draws at one position each.
std::map<int32_t, int> draws_of(OneRow& row, int count = 40000) {
  std::map<int32_t, int> draws;
  for (int32_t position = 0; position < count; ++position) ++draws[row.sample(Sample::kernels().back(), position).id];
  return draws;
}

/// Pearson's statistic against probabilities; tokens of probability zero must not occur.
double chi_square(const std::map<int32_t, int>& draws, const std::vector<double>& probabilities, int count = 40000) {
  double statistic = 0;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    const auto found = draws.find(static_cast<int32_t>(i));
    const double seen = found == draws.end() ? 0 : found->second;
    if (probabilities[i] == 0) {
      EXPECT_EQ(seen, 0) << "token " << i;
    } else {
      statistic += std::pow(seen - probabilities[i] * count, 2) / (probabilities[i] * count);
    }
  }
  return statistic;
}

std::vector<double> softmax(const std::vector<float>& logits, double temperature) {
  std::vector<double> probabilities;
  double total = 0;
  for (const float logit : logits)
    total += probabilities.emplace_back(std::exp(static_cast<double>(logit) / temperature));
  for (double& p : probabilities) p /= total;
  return probabilities;
}

const std::vector<float> eight{0.1f, 1.5f, -1.0f, 2.0f, 0.0f, 0.9f, -0.5f, 1.0f};

// The 99.9 % quantile of the chi-square distribution: 24.3 with 7 degrees of freedom, 13.8 with 2.
TEST(Sampling, DrawsFollowTheSoftmax) {
  for (const float temperature : {1.0f, 0.5f, 2.0f}) {
    OneRow row(eight);
    row.parameters().temperature = temperature;
    row.parameters().seed = 42;
    EXPECT_LT(chi_square(draws_of(row), softmax(eight, static_cast<double>(temperature))), 24.3) << temperature;
  }
}

TEST(Sampling, TruncatedDrawsFollowWhatRemains) {
  const auto renormalized = [](std::initializer_list<int> kept) {
    const std::vector<double> all = softmax(eight, 1);
    std::vector<double> some(all.size());
    double total = 0;
    for (const int i : kept) total += all[static_cast<size_t>(i)];
    for (const int i : kept) some[static_cast<size_t>(i)] = all[static_cast<size_t>(i)] / total;
    return some;
  };
  OneRow row(eight);  // probabilities: 3: .37, 1: .22, 7: .14, 5: .12, 0: .055 …
  row.parameters().temperature = 1;
  row.parameters().top_k = 3;
  EXPECT_LT(chi_square(draws_of(row), renormalized({3, 1, 7})), 13.8);
  row.parameters().top_k = 0;
  row.parameters().top_p = 0.7f;
  EXPECT_LT(chi_square(draws_of(row), renormalized({3, 1, 7})), 13.8);
  row.parameters().top_p = 1;
  row.parameters().min_p = 0.35f;
  EXPECT_LT(chi_square(draws_of(row), renormalized({3, 1, 7})), 13.8);
}

TEST(Sampling, EveryKernelDrawsTheSame) {
  OneRow row(eight);
  row.parameters().temperature = 1;
  row.parameters().seed = 7;
  for (int32_t position = 0; position < 1000; ++position) {
    const int32_t want = row.sample(Sample::kernels().back(), position).id;
    for (const Kernel<Sample>& kernel : Sample::kernels()) {
      if (!this_machine().includes(kernel.needs)) continue;
      ASSERT_EQ(row.sample(kernel, position).id, want) << kernel.name;
    }
  }
}

TEST(Sampling, SeedsAndPositionsDraw) {
  // The first block of Philox 4×32-10 for a zero counter and key (Random123, kat_vectors): 6627e8d5 ….
  EXPECT_EQ(uniform_draw(0, 0), static_cast<float>(0x6627e8d5 >> 8) * 0x1p-24f);
  int below = 0;
  for (int64_t position = 0; position < 10000; ++position) {
    const float draw = uniform_draw(3, position);
    EXPECT_GE(draw, 0);
    EXPECT_LT(draw, 1);
    EXPECT_EQ(draw, uniform_draw(3, position));
    below += draw < uniform_draw(4, position);
  }
  EXPECT_NEAR(below, 5000, 200);  // four standard deviations
}

TEST(Sampling, WeightsAreExponentials) {
  EXPECT_EQ(sampling_weight(0), largest_sampling_weight);
  EXPECT_EQ(sampling_weight(-0.0f), largest_sampling_weight);
  EXPECT_EQ(sampling_weight(-30), 0u);
  EXPECT_EQ(sampling_weight(-std::numeric_limits<float>::infinity()), 0u);
  EXPECT_EQ(sampling_weight(std::nanf("")), 0u);
  for (float below = 0; below > -28; below -= 0.01f) {
    const double want = std::exp(static_cast<double>(below)) * 0x1p40;
    ASSERT_NEAR(static_cast<double>(sampling_weight(below)), want, 4e-9 * want + 1) << below;
  }
}

TEST(Sampling, OddLogitsDoNotWin) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::nanf("");
  for (const float temperature : {0.0f, 1.0f}) {
    for (const auto& [logits, want] : std::vector<std::pair<std::vector<float>, int32_t>>{
             {{nan, -infinity, 1.0f, nan}, 2},
             {{nan, 5.0f, infinity, infinity}, temperature > 0 ? -1 : 2},
             {{nan, -infinity, nan, nan}, 0},
             {{-0.0f, 0.0f, -1e30f}, temperature > 0 ? -1 : 0}}) {
      OneRow row(logits);
      row.parameters().temperature = temperature;
      for (const Kernel<Sample>& kernel : Sample::kernels()) {
        if (!this_machine().includes(kernel.needs)) continue;
        const SampledRow result = row.sample(kernel, 3);
        if (want >= 0) {
          EXPECT_EQ(result.id, want) << kernel.name;
        }
        EXPECT_FALSE(std::isnan(result.logprob)) << kernel.name;
      }
    }
  }
}

TEST(Sampling, TruncationTakesBackWhatWasAppended) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 50; ++round) {
    HostSlots slots(2, 128, 9);
    reset_slot(slots, 1, 20);
    std::vector<HostSlots> earlier{slots};
    for (int i = 0; i < 60; ++i) {
      append_token(slots, 1, static_cast<int32_t>(random() % 9));
      slots.states[1].last_token = slots.history[static_cast<size_t>(128 + i)];
      earlier.push_back(slots);
    }
    const auto length = static_cast<int32_t>(random() % 70);
    truncate_slot(slots, 1, length);
    const HostSlots& want = earlier[static_cast<size_t>(std::min(length, 60))];
    EXPECT_EQ(slots.states[1].length, want.states[1].length);
    EXPECT_EQ(slots.states[1].last_token, want.states[1].last_token);
    EXPECT_EQ(slots.prompt_counts, want.prompt_counts);
    EXPECT_EQ(slots.generated_counts, want.generated_counts);
  }
}

TEST(Sampling, TruncationRecountsWhatSaturated) {
  HostSlots slots(1, 70000, 2);
  reset_slot(slots, 0, 10);
  for (int i = 0; i < 66000; ++i) append_token(slots, 0, 1);
  EXPECT_EQ(slots.generated_counts[1], UINT16_MAX);
  truncate_slot(slots, 0, 65800);
  EXPECT_EQ(slots.generated_counts[1], UINT16_MAX);
  truncate_slot(slots, 0, 100);
  EXPECT_EQ(slots.generated_counts[1], 90);
  EXPECT_EQ(slots.prompt_counts[1], 10);
}

}  // namespace
}  // namespace incipit
