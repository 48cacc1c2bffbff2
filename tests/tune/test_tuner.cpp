#include "tune/tuner.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "kernels/family_list.h"
#include "kernels/problem.h"
#include "support/temporary_directory.h"
#include "workload/evict.h"

namespace incipit {
namespace {

std::string product(int32_t n, int32_t k) {
  Linear::Problem problem;
  problem.n = n;
  problem.k = k;
  return to_text(problem);
}

TEST(Evict, LeavesTheBytesAsTheyAre) {
  if (!can_evict()) GTEST_SKIP() << "needs a processor with CLFLUSHOPT";
  std::vector<std::byte> bytes(1000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7);
  for (const size_t count : {0, 1, 63, 64, 65, 900}) {
    for (const size_t first : {0, 1, 63, 64}) evict(std::span(bytes).subspan(first, count));
  }
  for (size_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], static_cast<std::byte>(i * 7));
}

TEST(TuningCache, ReadsBackWhatItWrote) {
  const TemporaryDirectory directory;
  TuningCache cache;
  const Target target = named_target("cpu-avx2");
  cache.set(target, product(32, 64), 4, {"linear/avx2_f32", 3, "r4", 12.5});
  cache.set(target, product(32, 64), 16, {"linear/generic_f32", 1, "plain", 99});
  const Target gpu = named_target("cuda-sm90");
  cache.set(gpu, product(32, 64), 4, {"linear/cuda_gemv", 2, "rows8", 3.25, "NVIDIA H200"});
  cache.save(directory / "tuning.txt");
  const TuningCache again = TuningCache::load(directory / "tuning.txt");
  ASSERT_EQ(again.size(), 3U);
  EXPECT_EQ(*again.find(gpu, product(32, 64), 4), (KernelChoice{"linear/cuda_gemv", 2, "rows8", 3.25, "NVIDIA H200"}));
  const KernelChoice* choice = again.find(target, product(32, 64), 4);
  ASSERT_NE(choice, nullptr);
  EXPECT_EQ(*choice, (KernelChoice{"linear/avx2_f32", 3, "r4", 12.5}));
  EXPECT_EQ(again.find(target, product(32, 64), 5), nullptr);
  EXPECT_EQ(again.find(named_target("cpu-generic"), product(32, 64), 4), nullptr);
}

TEST(TuningCache, KeepsTheLinesOfABuildBesideIt) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "tuning.txt";
  const Target target;
  TuningCache first = TuningCache::load(path), second = TuningCache::load(path);
  first.set(target, product(16, 64), 1, {"a", 1, "x", 1});
  second.set(target, product(32, 64), 1, {"b", 1, "x", 1});
  first.save(path);
  second.save(path);
  EXPECT_EQ(TuningCache::load(path).size(), 2U);
  // What it has saved once is not put over another build's newer result.
  second.set(target, product(16, 64), 1, {"c", 1, "x", 1});
  second.save(path);
  first.set(target, product(48, 64), 1, {"d", 1, "x", 1});
  first.save(path);
  EXPECT_EQ(TuningCache::load(path).find(target, product(16, 64), 1)->kernel, "c");
  EXPECT_EQ(TuningCache::load(path).size(), 3U);

  std::vector<std::thread> builds;
  for (int build = 0; build < 4; ++build) {
    builds.emplace_back([&, build] {
      TuningCache cache = TuningCache::load(path);
      for (int i = 0; i < 10; ++i) {
        cache.set(target, product(16 * (1 + i), 64 * (2 + build)), 1, {"k", 1, "x", 1});
        cache.save(path);
      }
    });
  }
  for (std::thread& build : builds) build.join();
  EXPECT_EQ(TuningCache::load(path).size(), 43U);
}

TEST(TuningCache, IsTheSameTextWhateverTheOrderOfInsertion) {
  const TemporaryDirectory directory;
  const Target target;
  TuningCache first, second;
  first.set(target, product(16, 64), 1, {"a", 1, "x", 1});
  first.set(target, product(32, 64), 1, {"b", 1, "x", 1});
  second.set(target, product(32, 64), 1, {"b", 1, "x", 1});
  second.set(target, product(16, 64), 1, {"a", 1, "x", 1});
  first.save(directory / "first");
  second.save(directory / "second");
  EXPECT_EQ(read_text_file(directory / "first"), read_text_file(directory / "second"));
}

TEST(TuningCache, NamesTheLineThatIsMalformed) {
  const TemporaryDirectory directory;
  const std::string good = "generic | linear n=1 rows=1 | linear/generic_f32 abi=1 config=plain us=2.00\n";
  for (const std::string bad : {"nonsense", "a | b", "a | b rows=1 | k abi=x config=c us=1",
                                "a | b rows=1 | k abi=1 config=c us=1 more", "a | b rows=1 | k abi=1 config=c us=1 on ",
                                "a | b rows=1 | k abi=1 config= us=1", "| |", " | k abi=1 config=c us=1"}) {
    std::ofstream(directory / "tuning.txt") << good << bad << "\n";
    try {
      TuningCache::load(directory / "tuning.txt");
      ADD_FAILURE() << "accepted: " << bad;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("line 2"), std::string::npos) << error.what();
    }
  }
}

TEST(TuningCache, IsEmptyWithoutAFile) { EXPECT_EQ(TuningCache::load("/nonexistent/tuning.txt").size(), 0U); }

TEST(Tuner, TakesTheTablesFirstChoiceWithoutMeasuringForATargetThatIsNotMeasured) {
  TuningCache cache;
  Tuner tuner(cache, {named_target("cpu-generic"), 1, 0.01, false});
  const KernelChoice choice = tuner.choose({product(48, 80), 3});
  EXPECT_EQ(choice.kernel, "linear/generic_f32");
  EXPECT_EQ(choice.microseconds, 0);
  EXPECT_EQ(cache.size(), 0U) << "a guess must not be remembered";
}

TEST(Tuner, MeasuresOnceAndThenBelievesTheCache) {
  TuningCache cache;
  const TunerOptions options{cpu_features(), 2, 0.001, true};
  Tuner tuner(cache, options);
  const KernelChoice measured = tuner.choose({product(48, 80), 3});
  EXPECT_GT(measured.microseconds, 0);
  EXPECT_EQ(cache.size(), 1U);
  EXPECT_EQ(tuner.choose({product(48, 80), 3}), measured);

  KernelChoice planted = measured;
  planted.microseconds = 1;
  cache.set(options.target, product(48, 80), 3, planted);
  EXPECT_EQ(tuner.choose({product(48, 80), 3}), planted);
}

TEST(Tuner, DoesNotBelieveACacheOfAnotherAbiOrOfAKernelThatIsGone) {
  TuningCache cache;
  const Target target;
  Tuner tuner(cache, {target, 1, 0.001, true});
  const KernelChoice good = tuner.choose({product(48, 80), 3});
  for (KernelChoice stale : {KernelChoice{good.kernel, good.abi + 1, good.config, 1},
                             KernelChoice{"linear/gone", 1, "x", 1}, KernelChoice{good.kernel, good.abi, "gone", 1}}) {
    cache.set(target, product(48, 80), 3, stale);
    EXPECT_EQ(tuner.choose({product(48, 80), 3}).kernel, good.kernel);
  }
}

TEST(Tuner, MeasuresAttention) {
  TuningCache cache;
  Tuner tuner(cache, {cpu_features(), 2, 0.001, true});
  Attention::Problem problem;
  problem.heads = 4;
  problem.kv_heads = 2;
  problem.head_dim = 16;
  for (bool over_rows : {false, true}) {
    problem.over_rows = over_rows;
    EXPECT_FALSE(tuner.choose({to_text(problem), 4}).kernel.empty());
  }
}

TEST(Tuner, KnowsWhichChoicesLeaveVectorUnitsIdle) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "Tuner fallbacks skipped: vectors are this processor's baseline, every kernel is portable";
#endif
  const Target avx2 = named_target("cpu-avx2");
  const KernelChoice generic{"linear/generic_f32", 1, "", 0}, vectors{"linear/avx2_f32", 1, "", 0};
  EXPECT_TRUE(is_portable_fallback(product(48, 80), generic, avx2));
  EXPECT_FALSE(is_portable_fallback(product(48, 80), vectors, avx2));
  EXPECT_FALSE(is_portable_fallback(product(48, 80), generic, named_target("cpu-generic")));
  // This family has nothing else.
  const std::string rows = to_text(GatherRows::Problem{64, DType::f32});
  EXPECT_FALSE(is_portable_fallback(rows, {std::string(GatherRows::kernels().front().name), 1, "", 0}, avx2));
}

TEST(Tuner, RefusesAProblemThatNobodyComputes) {
  TuningCache cache;
  Tuner tuner(cache, {Target{}, 1, 0.001, true});
  EXPECT_THROW(tuner.choose({"unheard_of n=1", 1}), Error);
  EXPECT_THROW(tuner.choose({"linear n=oops", 1}), Error);
}

}  // namespace
}  // namespace incipit
