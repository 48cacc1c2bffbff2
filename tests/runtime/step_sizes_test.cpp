#include "runtime/step_sizes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "engine/plan_bytes.h"
#include "runtime/tiny_model.h"

namespace incipit {
namespace {

void set_edges(plan::PlanT& plan, plan::Axis axis, const std::vector<uint32_t>& edges) {
  const auto set = [&](plan::StepT& step) {
    if (step.axis != axis) return;
    step.kernels.resize(1);
    step.kernels.resize(edges.size(), step.kernels[0]);
    for (size_t i = 0; i < edges.size(); ++i) step.kernels[i].rows = edges[i];
  };
  for (plan::StepT& step : plan.steps) set(step);
  set(*plan.resolve_tokens);
  set(*plan.sample);
}

template <typename Edges>
int32_t kernel_of(const Edges& edges, int32_t rows) {
  return static_cast<int32_t>(
      std::ranges::find_if(edges, [&](uint32_t edge) { return static_cast<uint32_t>(rows) <= edge; }) - edges.begin());
}

TEST(StepSizes, GiveEveryBatchTheSmallestBucketAndTheKernelsOfItsRows) {
  plan::PlanT plan = TinyModel().plan();
  plan.weights.clear();
  const std::vector<uint32_t> token_edges{1, 3, 16, 64}, row_edges{2, 8, 40};
  set_edges(plan, plan::Axis::tokens, token_edges);
  set_edges(plan, plan::Axis::rows, row_edges);
  const std::vector<std::byte> bytes = plan_bytes(plan);
  const std::vector<StepSize> sizes = step_sizes(*plan::GetPlan(bytes.data()), false);
  for (int32_t tokens = 1; tokens <= TinyModel::max_tokens; ++tokens) {
    for (int32_t rows = 0; rows <= std::min(tokens, TinyModel::max_rows); ++rows) {
      for (int32_t sequences = 1; sequences <= std::min(tokens, TinyModel::slots); ++sequences) {
        StepCounts counts;
        counts.tokens = tokens, counts.rows = rows, counts.sequences = sequences;
        const auto size = std::ranges::find_if(sizes, [&](const StepSize& one) { return one.fits(counts); });
        ASSERT_NE(size, sizes.end()) << tokens << " " << rows << " " << sequences;
        const auto bucket = std::ranges::find_if(plan.buckets, [&](const plan::BucketT& one) {
          return counts.tokens <= static_cast<int32_t>(one.tokens) && rows <= static_cast<int32_t>(one.rows) &&
                 sequences <= static_cast<int32_t>(one.sequences);
        });
        EXPECT_EQ(size->bucket, bucket - plan.buckets.begin());
        EXPECT_EQ(kernel_of(token_edges, size->tokens), kernel_of(token_edges, tokens));
        EXPECT_EQ(kernel_of(row_edges, size->rows), kernel_of(row_edges, rows));
      }
    }
  }
}

TEST(StepSizes, AreAsManyAsBucketsWhereKernelsAreTheSame) {
  plan::PlanT plan = TinyModel().plan();
  plan.weights.clear();
  set_edges(plan, plan::Axis::tokens, {64});
  set_edges(plan, plan::Axis::rows, {40});
  const std::vector<std::byte> bytes = plan_bytes(plan);
  EXPECT_EQ(step_sizes(*plan::GetPlan(bytes.data()), false).size(), plan.buckets.size());
}

TEST(StepSizes, GiveAChunkOfFewTokensTheAttentionOfMany) {
  plan::PlanT plan = TinyModel().plan();
  plan.weights.clear();
  plan.buckets.back().tokens = 256;
  set_edges(plan, plan::Axis::tokens, {1, 32, 64, 256});
  const std::vector<std::byte> bytes = plan_bytes(plan);
  const std::vector<StepSize> sizes = step_sizes(*plan::GetPlan(bytes.data()), true);
  const auto tokens_for_attention = [&](int32_t tokens, int32_t sequences) {
    StepCounts counts;
    counts.tokens = tokens, counts.rows = 1, counts.sequences = sequences;
    const auto size = std::ranges::find_if(sizes, [&](const StepSize& one) { return one.fits(counts); });
    EXPECT_GE(size->tokens, tokens);
    EXPECT_EQ(size->tokens_for(false), size->tokens);
    return size->tokens_for(true);
  };
  for (const int32_t tokens : {33, 50, 64}) {
    EXPECT_EQ(tokens_for_attention(tokens, 1), few_queries + 1);
    EXPECT_EQ(tokens_for_attention(tokens, 2), 64);
  }
  EXPECT_EQ(tokens_for_attention(1, 1), 1);
  EXPECT_EQ(tokens_for_attention(20, 1), 32);
  EXPECT_EQ(tokens_for_attention(65, 1), 256);
}

}  // namespace
}  // namespace incipit
