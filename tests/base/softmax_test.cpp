#include "base/softmax.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iterator>
#include <limits>
#include <vector>

namespace incipit {
namespace {

constexpr double no_score = -std::numeric_limits<double>::infinity();

/// The shares of scores, by the definition, in long double.
std::vector<double> shares(const std::vector<double>& scores, double sink = no_score) {
  long double sum = std::exp(static_cast<long double>(sink));
  for (const double score : scores) sum += std::exp(static_cast<long double>(score));
  std::vector<double> result;
  for (const double score : scores)
    result.push_back(static_cast<double>(std::exp(static_cast<long double>(score)) / sum));
  return result;
}

TEST(Softmax, TermsByTheirSumAreTheShares) {
  const std::vector<double> scores{-3, 0.5, 11, no_score, 10.75};
  for (const double sink : {no_score, -2.0, 30.0}) {
    std::vector<double> terms = scores;
    const SoftmaxTotal<double> total = to_softmax_terms(terms.data(), std::ssize(terms), sink);
    for (double& term : terms) term /= total.sum;
    EXPECT_THAT(terms, testing::Pointwise(testing::DoubleNear(1e-15), shares(scores, sink)));
  }
}

TEST(Softmax, OverflowsNowhere) {
  std::vector<float> terms{3e38F, 0, 3e38F};
  const SoftmaxTotal<float> total = to_softmax_terms(terms.data(), 3);
  EXPECT_THAT(terms, testing::ElementsAre(1, 0, 1));
  EXPECT_EQ(total.sum, 2);
  EXPECT_EQ(total.largest, 3e38F);
}

TEST(Softmax, OfNothingIsZeros) {
  std::vector<double> terms{no_score, no_score};
  EXPECT_EQ(to_softmax_terms(terms.data(), 2).sum, 0);
  EXPECT_THAT(terms, testing::ElementsAre(0, 0));
  EXPECT_EQ(to_softmax_terms(terms.data(), 0).sum, 0);
}

TEST(Softmax, ANaNStays) {
  std::vector<double> terms{1, std::nan(""), 2};
  EXPECT_TRUE(std::isnan(to_softmax_terms(terms.data(), 3).sum));
  EXPECT_TRUE(std::isnan(terms[1]));
}

TEST(Softmax, TheLogarithmOfTheSumIsTheDefinitions) {
  const std::vector<double> scores{-3, 0.5, 11, no_score, 10.75};
  long double sum = 0;
  for (const double score : scores) sum += std::exp(static_cast<long double>(score));
  EXPECT_DOUBLE_EQ(log_sum_exp<double>(scores.data(), std::ssize(scores)), static_cast<double>(std::log(sum)));
  EXPECT_NEAR(log_sum_exp<float>(scores.data(), std::ssize(scores)), static_cast<double>(std::log(sum)), 1e-6);
  const std::vector<int64_t> whole{3, 100, 3, 100};
  EXPECT_DOUBLE_EQ(log_sum_exp<double>(whole.data(), 2, 2), 3 + std::log(2.0));
}

TEST(Softmax, TheLogarithmOfTheSumAtTheEnds) {
  const auto of = [](std::vector<double> scores) { return log_sum_exp<double>(scores.data(), std::ssize(scores)); };
  EXPECT_EQ(of({}), no_score);
  EXPECT_EQ(of({no_score, no_score}), no_score);
  EXPECT_EQ(of({1, -no_score}), -no_score);
  EXPECT_EQ(of({1000, no_score}), 1000);
  EXPECT_TRUE(std::isnan(of({1, std::nan(""), 2})));
  EXPECT_TRUE(std::isnan(of({std::nan(""), no_score})));
}

TEST(Softmax, LeavesWhatLiesBetween) {
  std::vector<double> scores{0, 7, 0, 7};
  EXPECT_EQ(to_softmax_terms(scores.data(), 2, no_score, 2).sum, 2);
  EXPECT_THAT(scores, testing::ElementsAre(1, 7, 1, 7));
}

}  // namespace
}  // namespace incipit
