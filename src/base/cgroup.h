// Quotas of Linux control groups (containers).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace incipit {

/// The tightest processor quota of the calling process's control group and its ancestors, in cores rounded up;
/// empty where nothing limits it. Understands cgroup v2 (cpu.max) and v1 (cpu.cfs_quota_us / cpu.cfs_period_us),
/// see the kernel's Documentation/admin-guide/cgroup-v2.rst.
/// `membership` is /proc/self/cgroup and `mount` is /sys/fs/cgroup, except in tests.
std::optional<int> cgroup_cores(const std::filesystem::path& membership = "/proc/self/cgroup",
                                const std::filesystem::path& mount = "/sys/fs/cgroup");

/// The tightest limit of memory, in bytes, the same way (v2's memory.max, v1's memory.limit_in_bytes).
std::optional<int64_t> cgroup_memory(const std::filesystem::path& membership = "/proc/self/cgroup",
                                     const std::filesystem::path& mount = "/sys/fs/cgroup");

}  // namespace incipit
