#include "base/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"

namespace incipit {
namespace {

using ::testing::HasSubstr;

TEST(TargetTest, ProcessorsAreNested) {
  const Target generic = named_target("cpu-generic"), avx2 = named_target("cpu-avx2");
  const Target avx512 = named_target("cpu-avx512"), amx = named_target("cpu-amx");
  EXPECT_EQ(generic, Target{});
  EXPECT_EQ(to_string(generic), "generic");
  EXPECT_EQ(to_string(avx2), "avx2");
  EXPECT_EQ(to_string(avx512), "avx2,avx512,avx512-bf16,avx512-vnni");
  EXPECT_EQ(to_string(amx), "avx2,avx512,avx512-bf16,avx512-vnni,amx-bf16,amx-int8");
  EXPECT_EQ(to_string(named_target("cpu-avx-vnni")), "avx2,avx-vnni");
  EXPECT_TRUE(amx.includes(avx512));
  EXPECT_TRUE(avx512.includes(avx2));
  EXPECT_FALSE(avx2.includes(avx512));
  EXPECT_EQ(named_target("native"), Target(cpu_features()));
}

TEST(TargetTest, BackendsExcludeOneAnotherAndArchitecturesAscend) {
  const Target shadow = named_target("shadow");
  EXPECT_EQ(to_string(shadow), "shadow");
  for (const NamedTarget& row : named_targets()) {
    EXPECT_EQ(shadow.includes(row.target), row.target == shadow) << row.name;
    EXPECT_EQ(row.target.includes(shadow), row.target == shadow) << row.name;
  }
  const Target older(Backend::cuda, 80), newer(Backend::cuda, 90);
  EXPECT_TRUE(newer.includes(older));
  EXPECT_FALSE(older.includes(newer));
  EXPECT_FALSE(newer.includes(Target{}));
}

TEST(TargetTest, GpusRunWhatIsBuiltForTheirOwnMajorNumberAndForTheLeast) {
  const auto gpu = [](int architecture) { return Target(Backend::cuda, static_cast<uint16_t>(architecture)); };
  EXPECT_EQ(to_string(gpu(90)), "cuda-sm90");
  for (const int later : {80, 86, 87, 89, 90, 100, 103, 120, 121}) EXPECT_TRUE(gpu(later).includes(gpu(80))) << later;
  EXPECT_TRUE(gpu(89).includes(gpu(87)));
  EXPECT_TRUE(gpu(103).includes(gpu(100)));
  EXPECT_TRUE(gpu(121).includes(gpu(120)));
  EXPECT_FALSE(gpu(87).includes(gpu(89)));
  for (const int other : {80, 89, 100, 120}) EXPECT_FALSE(gpu(other).includes(gpu(90))) << other;
  EXPECT_FALSE(gpu(120).includes(gpu(100)));
  EXPECT_FALSE(gpu(0).includes(gpu(80)));
  EXPECT_EQ(best_name(gpu(86)), "cuda-sm80");
  EXPECT_EQ(best_name(gpu(121)), "cuda-sm120");
}

TEST(TargetTest, NamesAndTextsAreUnique) {
  std::set<std::string> names, texts;
  for (const NamedTarget& row : named_targets()) {
    EXPECT_TRUE(names.emplace(row.name).second) << row.name;
    EXPECT_TRUE(texts.insert(to_string(row.target)).second) << row.name;
    EXPECT_EQ(named_target(row.name), row.target);
    EXPECT_EQ(best_name(row.target), row.name);
  }
}

TEST(TargetTest, EveryMachineRunsTheShadowAndWhatItIs) {
  EXPECT_TRUE(runs_here(named_target("native")));
  EXPECT_TRUE(runs_here(named_target("cpu-generic")));
  EXPECT_TRUE(runs_here(named_target("shadow")));
  EXPECT_TRUE(runs_here(named_target(best_name(this_machine()))));
}

TEST(TargetTest, AnUnknownNameNamesTheKnownOnes) {
  try {
    named_target("gpu-9000");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("unknown target 'gpu-9000'"));
    for (const NamedTarget& row : named_targets()) EXPECT_THAT(error.what(), HasSubstr(row.name));
  }
}

}  // namespace
}  // namespace incipit
