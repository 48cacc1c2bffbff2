#include "compile/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "compile/buckets.h"
#include "kernels/layout.h"

namespace incipit {
namespace {

plan::OperandT buffer_operand(uint32_t index) { return {{}, plan::Space::buffer, index, 0, 0}; }

plan::BucketT bucket_of(uint32_t tokens, uint32_t rows) { return {{}, tokens, rows, 1, 0, {}}; }

/// A random program: every step reads some earlier buffers and writes a new one.
plan::PlanT random_plan(std::mt19937& random, uint32_t steps) {
  plan::PlanT plan;
  std::uniform_int_distribution<uint32_t> width(1, 300);
  for (uint32_t s = 0; s < steps; ++s) {
    plan.buffers.push_back({{},
                            "b" + std::to_string(s),
                            random() % 2 == 0 ? "f32" : "bf16",
                            random() % 4 == 0 ? plan::Axis::rows : plan::Axis::tokens,
                            width(random)});
    plan::StepT& step = plan.steps.emplace_back();
    step.outputs = {buffer_operand(s)};
    for (int32_t i = 0; s > 0 && i < 2; ++i) {
      step.inputs.push_back(buffer_operand(static_cast<uint32_t>(random()) % s));
    }
  }
  plan.logits = steps - 1;
  return plan;
}

/// [first, last] step that touches each buffer.
std::vector<std::pair<size_t, size_t>> lives(const plan::PlanT& plan) {
  std::vector<std::pair<size_t, size_t>> result(plan.buffers.size(), {SIZE_MAX, 0});
  for (size_t s = 0; s < plan.steps.size(); ++s) {
    for (const auto* list : {&plan.steps[s].inputs, &plan.steps[s].outputs}) {
      for (const plan::OperandT& operand : *list) {
        auto& [first, last] = result[operand.index];
        first = std::min(first, s);
        last = std::max(last, s);
      }
    }
  }
  return result;
}

TEST(MemoryPlan, NeverOverlapsBuffersThatLiveTogether) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    const plan::PlanT plan = random_plan(random, 40);
    plan::BucketT bucket = bucket_of(33, 5);
    const int64_t behind = round % 2 == 0 ? 0 : 255;
    place_buffers(plan, bucket, behind);
    const std::vector<uint64_t>& offsets = bucket.offsets;
    const auto live = lives(plan);
    for (size_t a = 0; a < plan.buffers.size(); ++a) {
      const uint64_t end_a = offsets[a] + buffer_bytes(plan.buffers[a], bucket);
      EXPECT_EQ(offsets[a] % 64, 0U);
      const auto row_bytes = row_stride(plan.buffers[a].width) * (plan.buffers[a].dtype == "f32" ? 4 : 2);
      EXPECT_LE(end_a + static_cast<uint64_t>(behind * row_bytes), bucket.arena_bytes);
      for (size_t b = 0; b < a; ++b) {
        if (live[a].first > live[b].second || live[b].first > live[a].second) continue;
        const uint64_t end_b = offsets[b] + buffer_bytes(plan.buffers[b], bucket);
        EXPECT_TRUE(end_a <= offsets[b] || end_b <= offsets[a]) << a << " and " << b;
      }
    }
  }
}

TEST(MemoryPlan, ReusesMemoryOfDeadBuffers) {
  plan::PlanT plan;
  for (uint32_t s = 0; s < 10; ++s) {  // a chain: two buffers live at a time
    plan.buffers.push_back({{}, "b", "f32", plan::Axis::tokens, 64});
    plan::StepT& step = plan.steps.emplace_back();
    step.outputs = {buffer_operand(s)};
    if (s > 0) step.inputs.push_back(buffer_operand(s - 1));
  }
  plan.logits = 9;
  plan::BucketT bucket = bucket_of(8, 1);
  place_buffers(plan, bucket, 0);
  EXPECT_EQ(bucket.arena_bytes, 2 * buffer_bytes(plan.buffers[0], bucket));
}

TEST(Buckets, AscendCoverTheLargestStepAndStartAtOneToken) {
  for (const auto& [tokens, rows, sequences] :
       {std::array{1024, 64, 8}, std::array{100, 64, 16}, std::array{1, 64, 1}}) {
    const std::vector<plan::BucketT> buckets = make_buckets(tokens, rows, sequences);
    EXPECT_EQ(buckets.front().tokens, 1U);
    EXPECT_EQ(static_cast<int>(buckets.back().tokens), tokens);
    for (size_t i = 0; i < buckets.size(); ++i) {
      EXPECT_LE(static_cast<int>(buckets[i].rows), rows);
      EXPECT_LE(static_cast<int>(buckets[i].sequences), sequences);
      EXPECT_LE(buckets[i].rows, buckets[i].tokens);
      if (i > 0) {
        EXPECT_GT(buckets[i].tokens, buckets[i - 1].tokens);
      }
    }
  }
}

TEST(Buckets, HaveEdgesForAnAcceleratorNotFarAboveAnyNumberOfRows) {
  for (const int32_t most : {1, 8, 64, 100, 1088}) {
    const std::vector<int32_t> edges = accelerator_row_edges(most);
    EXPECT_EQ(edges.front(), 1);
    EXPECT_EQ(edges.back(), most);
    for (size_t i = 1; i < edges.size(); ++i) {
      ASSERT_LT(edges[i - 1], edges[i]);
      if (edges[i - 1] < 128) continue;
      EXPECT_LE(edges[i] - edges[i - 1], edges[i - 1] / 4);
    }
  }
}

}  // namespace
}  // namespace incipit
