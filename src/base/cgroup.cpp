#include "base/cgroup.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

namespace incipit {
namespace {

namespace fs = std::filesystem;

std::optional<int> cores_of(int64_t quota, int64_t period) {
  if (quota <= 0 || period <= 0) return std::nullopt;
  return static_cast<int>(std::clamp<int64_t>((quota + period - 1) / period, 1, 1 << 20));
}

// "max 100000" or "150000 100000": microseconds of processor time in each period.
std::optional<int> version_2_quota(const fs::path& group) {
  std::ifstream file(group / "cpu.max");
  int64_t quota = 0;
  int64_t period = 0;
  if (!(file >> quota >> period)) return std::nullopt;
  return cores_of(quota, period);
}

std::optional<int> version_1_quota(const fs::path& group) {
  std::ifstream quota_file(group / "cpu.cfs_quota_us");
  std::ifstream period_file(group / "cpu.cfs_period_us");
  int64_t quota = 0;
  int64_t period = 0;
  if (!(quota_file >> quota) || !(period_file >> period)) return std::nullopt;
  return cores_of(quota, period);
}

// A quota anywhere above the group limits it too. Without a cgroup namespace the path is the host's and does not
// exist under the container's mount; its root then is the container's own group, and is tried last.
template <typename Quota>
auto tightest(const fs::path& mount, const std::string& group, Quota quota_of) {
  decltype(quota_of(mount)) least;
  fs::path path = fs::path(group).relative_path();
  while (true) {
    if (const auto quota = quota_of(mount / path)) least = std::min(*quota, least.value_or(*quota));
    if (path.empty()) return least;
    path = path.parent_path();
  }
}

/// "max" or bytes. Without a limit version 1 says the largest number of whole pages.
std::optional<int64_t> memory_limit(const fs::path& file) {
  constexpr int64_t unlimited = int64_t{1} << 60;
  std::ifstream stream(file);
  int64_t bytes = 0;
  if (!(stream >> bytes) || bytes <= 0 || bytes >= unlimited) return std::nullopt;
  return bytes;
}

/// The least of a controller's limit over its hierarchies.
template <typename V1, typename V2>
auto least_limit(const fs::path& membership, const fs::path& mount, std::string_view controller, V1 version_1,
                 V2 version_2) {
  decltype(version_2(mount)) least;
  const auto note = [&least](const auto& limit) {
    if (limit) least = std::min(*limit, least.value_or(*limit));
  };
  std::ifstream file(membership);
  for (std::string line; std::getline(file, line);) {  // hierarchy:controllers:path
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      note(tightest(mount, group, version_2));
      continue;
    }
    std::istringstream names(controllers);
    for (std::string name; std::getline(names, name, ',');) {
      if (name != controller) continue;
      note(tightest(mount / name, group, version_1));
      note(tightest(mount / controllers, group, version_1));  // "cpu,cpuacct" without the usual link
    }
  }
  return least;
}

}  // namespace

std::optional<int> cgroup_cores(const fs::path& membership, const fs::path& mount) {
  return least_limit(membership, mount, "cpu", version_1_quota, version_2_quota);
}

std::optional<int64_t> cgroup_memory(const fs::path& membership, const fs::path& mount) {
  return least_limit(
      membership, mount, "memory", [](const fs::path& group) { return memory_limit(group / "memory.limit_in_bytes"); },
      [](const fs::path& group) { return memory_limit(group / "memory.max"); });
}

}  // namespace incipit
