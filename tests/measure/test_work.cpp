#include "measure/work.h"

#include <gtest/gtest.h>

#include "kernels/families.h"
#include "kernels/problem.h"

namespace incipit {
namespace {

constexpr Ceilings ceilings{1e9, 1e9, 2e9, 4e9, 1e9};

TEST(Work, CountsAProductByHand) {
  Linear::Problem problem;
  problem.n = 32;
  problem.k = 64;
  problem.format = WeightFormat::bf16;
  problem.input = DType::bf16;
  const Work work = work_of(to_text(problem), 10, 10);
  EXPECT_EQ(work.operations, 2.0 * 10 * 32 * 64);
  EXPECT_EQ(work.bytes, 2.0 * 32 * 64);
  EXPECT_EQ(work.arithmetic, DType::bf16);
  const Work several = work_of(to_text(problem), 1, 10, 10);
  EXPECT_EQ(several.operations, work.operations);
  EXPECT_EQ(several.bytes, work.bytes) << "read once for all";
}

TEST(Work, CountsOnlyTheKeysThatAQuerySees) {
  Attention::Problem problem;
  problem.heads = 4;
  problem.kv_heads = 2;
  problem.head_dim = 8;
  problem.cache = DType::bf16;
  EXPECT_EQ(work_of(to_text(problem), 3, 3).operations, 4.0 * 4 * 8 * (1 + 2 + 3));
  EXPECT_EQ(work_of(to_text(problem), 3, 3).bytes, 0);
  EXPECT_EQ(work_of(to_text(problem), 1, 101).operations, 4.0 * 4 * 8 * 101);
  EXPECT_EQ(work_of(to_text(problem), 1, 101).bytes, 2.0 * 2 * 8 * 2 * 100);
  EXPECT_EQ(work_of(to_text(problem), 1, 101, 3).bytes, 3 * 2.0 * 2 * 8 * 2 * 100) << "each has its own";
  Attention::Problem coded = problem;
  coded.cache = DType::i8;
  EXPECT_EQ(work_of(to_text(coded), 1, 101).bytes, 2.0 * 2 * (8 + 4) * 100) << "codes, and a scale";
  problem.window = 16;
  EXPECT_EQ(work_of(to_text(problem), 1, 101).operations, 4.0 * 4 * 8 * 16);
  EXPECT_EQ(work_of(to_text(problem), 1, 101).bytes, 2.0 * 2 * 8 * 2 * 16);
}

TEST(Work, LimitIsTheLargerOfArithmeticAndMemory) {
  EXPECT_DOUBLE_EQ(limit_seconds({4e9, DType::i8, 2e9}, ceilings), 2.0);
  EXPECT_DOUBLE_EQ(limit_seconds({8e9, DType::bf16, 2e9}, ceilings), 4.0);
  EXPECT_DOUBLE_EQ(limit_seconds({8e9, DType::f32, 0}, ceilings), 8.0);
}

TEST(Work, OtherStepsHaveNoLimit) { EXPECT_EQ(work_of(to_text(RmsNorm::Problem{}), 10, 10).operations, 0); }

TEST(Ceilings, AreMeasured) {
  ThreadPool pool(1);
  const std::vector<std::byte> memory(size_t{1} << 20);
  const Ceilings found = measure_ceilings(pool, memory);
  EXPECT_GT(found.f32, 1e8);
  EXPECT_GE(found.bf16, found.f32);
  EXPECT_GE(found.i8, found.f32);
  EXPECT_GT(found.bandwidth, 1e8);
}

}  // namespace
}  // namespace incipit
