#include "compile/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "compile/buckets.h"

namespace incipit {
namespace {

DraftOperand buffer_operand(int32_t index) { return {DraftSpace::buffer, index, 0, 0}; }

/// A random program: every step reads some earlier buffers and writes a new one.
PlanDraft random_draft(std::mt19937& random, int32_t steps) {
  PlanDraft draft;
  std::uniform_int_distribution<int64_t> width(1, 300);
  for (int32_t s = 0; s < steps; ++s) {
    draft.buffers.push_back({"b" + std::to_string(s), random() % 2 == 0 ? DType::f32 : DType::bf16,
                             random() % 4 == 0 ? DraftAxis::rows : DraftAxis::tokens, width(random)});
    DraftStep step{"s" + std::to_string(s), "", DraftAxis::tokens, {}, {buffer_operand(s)}};
    for (int32_t i = 0; s > 0 && i < 2; ++i) {
      step.inputs.push_back(buffer_operand(static_cast<int32_t>(random() % static_cast<uint32_t>(s))));
    }
    draft.steps.push_back(step);
  }
  draft.logits = steps - 1;
  return draft;
}

/// [first, last] step that touches each buffer.
std::vector<std::pair<size_t, size_t>> lives(const PlanDraft& draft) {
  std::vector<std::pair<size_t, size_t>> result(draft.buffers.size(), {SIZE_MAX, 0});
  for (size_t s = 0; s < draft.steps.size(); ++s) {
    for (const auto* list : {&draft.steps[s].inputs, &draft.steps[s].outputs}) {
      for (const DraftOperand& operand : *list) {
        auto& [first, last] = result[static_cast<size_t>(operand.index)];
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
    const PlanDraft draft = random_draft(random, 40);
    const ArenaPlan plan = plan_arena(draft, 33, 5);
    const auto live = lives(draft);
    for (size_t a = 0; a < draft.buffers.size(); ++a) {
      const uint64_t end_a = plan.offsets[a] + buffer_bytes(draft.buffers[a], 33, 5);
      EXPECT_EQ(plan.offsets[a] % 64, 0U);
      EXPECT_LE(end_a, plan.bytes);
      for (size_t b = 0; b < a; ++b) {
        if (live[a].first > live[b].second || live[b].first > live[a].second) continue;
        const uint64_t end_b = plan.offsets[b] + buffer_bytes(draft.buffers[b], 33, 5);
        EXPECT_TRUE(end_a <= plan.offsets[b] || end_b <= plan.offsets[a]) << a << " and " << b;
      }
    }
  }
}

TEST(MemoryPlan, ReusesMemoryOfDeadBuffers) {
  PlanDraft draft;
  for (int32_t s = 0; s < 10; ++s) {  // a chain: two buffers live at a time
    draft.buffers.push_back({"b", DType::f32, DraftAxis::tokens, 64});
    DraftStep step{"s", "", DraftAxis::tokens, {}, {buffer_operand(s)}};
    if (s > 0) step.inputs.push_back(buffer_operand(s - 1));
    draft.steps.push_back(step);
  }
  draft.logits = 9;
  EXPECT_EQ(plan_arena(draft, 8, 1).bytes, 2 * buffer_bytes(draft.buffers[0], 8, 1));
}

TEST(Buckets, AscendCoverTheLargestStepAndStartAtOneToken) {
  for (const auto& [tokens, rows, sequences] :
       {std::array{1024, 64, 8}, std::array{100, 64, 16}, std::array{1, 64, 1}}) {
    const std::vector<BucketBounds> buckets = make_buckets(tokens, rows, sequences);
    EXPECT_EQ(buckets.front().tokens, 1);
    EXPECT_EQ(buckets.back().tokens, tokens);
    for (size_t i = 0; i < buckets.size(); ++i) {
      EXPECT_LE(buckets[i].rows, rows);
      EXPECT_LE(buckets[i].sequences, sequences);
      EXPECT_LE(buckets[i].rows, buckets[i].tokens);
      if (i > 0) {
        EXPECT_GT(buckets[i].tokens, buckets[i - 1].tokens);
      }
    }
  }
}

}  // namespace
}  // namespace incipit
