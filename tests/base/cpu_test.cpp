#include "base/cpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <fstream>

#include "base/cgroup.h"
#include "base/error.h"
#include "base/file.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

TEST(CpuTest, NamesFeatures) {
  EXPECT_EQ(to_string(CpuFeatures{}.with(CpuFeature::avx2).with(CpuFeature::avx512).with(CpuFeature::avx512_bf16)),
            "avx2,avx512,avx512-bf16");
  EXPECT_EQ(to_string(CpuFeatures{}), "generic");
}

#if defined(__x86_64__)
// The compiler's own run-time detection is the second opinion.
TEST(CpuTest, AgreesWithTheCompilersDetection) {
  __builtin_cpu_init();
  const CpuFeatures features = cpu_features();
  EXPECT_EQ(features.has(CpuFeature::avx2), __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
  EXPECT_EQ(features.has(CpuFeature::avx512), __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                                  __builtin_cpu_supports("avx512dq") &&
                                                  __builtin_cpu_supports("avx512vl") &&
                                                  __builtin_cpu_supports("avx512cd"));
  EXPECT_EQ(features.has(CpuFeature::avx512_bf16), __builtin_cpu_supports("avx512bf16") != 0);
  EXPECT_EQ(features.has(CpuFeature::avx512_vnni), __builtin_cpu_supports("avx512vnni") != 0);
#if !defined(__clang__)  // to version 16 does not know it
  EXPECT_EQ(features.has(CpuFeature::avx_vnni), __builtin_cpu_supports("avxvnni") != 0);
#endif
}
#endif

TEST(CpuTest, FingerprintIsSteady) {
  const std::string text = machine_fingerprint();
  EXPECT_THAT(text, MatchesRegex("[^|]+ \\| [^|]+ \\| [0-9]+ cores?"));
  EXPECT_THAT(text, HasSubstr(to_string(cpu_features())));
  EXPECT_EQ(machine_fingerprint(), text);
}

TEST(CpuTest, CoresFollowTheAffinityMask) {
  cpu_set_t old;
  if (::sched_getaffinity(0, sizeof(old), &old) != 0) {
    GTEST_SKIP() << "CpuTest.CoresFollowTheAffinityMask: more than " << CPU_SETSIZE << " processors here";
  }
  const std::vector<int> ids = available_core_ids();
  ASSERT_FALSE(ids.empty());
  EXPECT_EQ(static_cast<int>(ids.size()), CPU_COUNT(&old));
  EXPECT_GE(available_cores(), 1);
  EXPECT_LE(available_cores(), static_cast<int>(ids.size()));

  const std::string fingerprint = machine_fingerprint();
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(ids.back(), &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(available_core_ids(), std::vector<int>{ids.back()});
  EXPECT_EQ(available_cores(), 1);
  EXPECT_EQ(machine_fingerprint(), fingerprint);
  ASSERT_EQ(::sched_setaffinity(0, sizeof(old), &old), 0);
}

class CgroupTest : public ::testing::Test {
 protected:
  void put(const std::string& name, const std::string& text) {
    const fs::path path = directory_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text << '\n';
  }
  std::optional<int> cores() { return cgroup_cores(directory_ / "membership", directory_ / "mount"); }

  TemporaryDirectory directory_;
};

TEST_F(CgroupTest, NothingLimits) {
  EXPECT_EQ(cores(), std::nullopt);
  put("membership", "0::/");
  EXPECT_EQ(cores(), std::nullopt);
  put("mount/cpu.max", "max 100000");
  EXPECT_EQ(cores(), std::nullopt);
}

TEST_F(CgroupTest, Version2RoundsUp) {
  put("membership", "0::/");
  put("mount/cpu.max", "400000 100000");
  EXPECT_EQ(cores(), 4);
  put("mount/cpu.max", "150000 100000");
  EXPECT_EQ(cores(), 2);
  put("mount/cpu.max", "1000 100000");
  EXPECT_EQ(cores(), 1);
}

TEST_F(CgroupTest, Version2TakesTheTightestAncestor) {
  put("membership", "0::/system.slice/run.service");
  put("mount/system.slice/run.service/cpu.max", "800000 100000");
  put("mount/system.slice/cpu.max", "300000 100000");
  EXPECT_EQ(cores(), 3);
  put("mount/system.slice/run.service/cpu.max", "200000 100000");
  EXPECT_EQ(cores(), 2);
}

TEST_F(CgroupTest, WithoutANamespaceTheMountsRootCounts) {
  put("membership", "0::/docker/0123abcd");
  put("mount/cpu.max", "200000 100000");
  EXPECT_EQ(cores(), 2);
}

TEST_F(CgroupTest, MemoryIsLimitedTheSameWay) {
  const auto memory = [&] { return cgroup_memory(directory_ / "membership", directory_ / "mount"); };
  EXPECT_EQ(memory(), std::nullopt);
  put("membership", "0::/system.slice/run.service");
  put("mount/system.slice/memory.max", "max");
  EXPECT_EQ(memory(), std::nullopt);
  put("mount/system.slice/memory.max", "3000000000");
  put("mount/system.slice/run.service/memory.max", "2000000000");
  EXPECT_EQ(memory(), 2'000'000'000);
  put("membership", "4:memory:/job\n2:cpu,cpuacct:/job");
  put("mount/memory/job/memory.limit_in_bytes", "9223372036854771712");  // none
  EXPECT_EQ(memory(), std::nullopt);
  put("mount/memory/job/memory.limit_in_bytes", "1000000000");
  EXPECT_EQ(memory(), 1'000'000'000);
}

TEST_F(CgroupTest, Version1) {
  put("membership", "4:memory:/job\n3:cpuset:/job\n2:cpu,cpuacct:/job\n1:name=systemd:/job");
  put("mount/cpu,cpuacct/job/cpu.cfs_quota_us", "-1");
  put("mount/cpu,cpuacct/job/cpu.cfs_period_us", "100000");
  EXPECT_EQ(cores(), std::nullopt);
  put("mount/cpu,cpuacct/job/cpu.cfs_quota_us", "250000");
  EXPECT_EQ(cores(), 3);
  put("mount/cpu/job/cpu.cfs_quota_us", "200000");
  put("mount/cpu/job/cpu.cfs_period_us", "100000");
  EXPECT_EQ(cores(), 2);
}

TEST_F(CgroupTest, NonsenseLimitsNothing) {
  put("membership", "no colons\n0:one\n0::/a/../../b\n2:cpu:relative");
  put("mount/cpu.max", "lots of it");
  EXPECT_EQ(cores(), std::nullopt);
  put("mount/cpu.max", "100000 0");
  EXPECT_EQ(cores(), std::nullopt);
}

}  // namespace
}  // namespace incipit
