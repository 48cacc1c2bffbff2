#include "base/cgroup.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

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
std::optional<int> tightest(const fs::path& mount, const std::string& group, Quota quota_of) {
  std::optional<int> least;
  fs::path path = fs::path(group).relative_path();
  while (true) {
    if (const std::optional<int> quota = quota_of(mount / path)) least = std::min(*quota, least.value_or(*quota));
    if (path.empty()) return least;
    path = path.parent_path();
  }
}

}  // namespace

std::optional<int> cgroup_cores(const fs::path& membership, const fs::path& mount) {
  std::optional<int> least;
  const auto note = [&least](std::optional<int> quota) {
    if (quota) least = std::min(*quota, least.value_or(*quota));
  };
  std::ifstream file(membership);
  for (std::string line; std::getline(file, line);) {  // hierarchy:controllers:path
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      note(tightest(mount, group, version_2_quota));
      continue;
    }
    std::istringstream names(controllers);
    for (std::string name; std::getline(names, name, ',');) {
      if (name != "cpu") continue;
      note(tightest(mount / "cpu", group, version_1_quota));
      note(tightest(mount / controllers, group, version_1_quota));  // "cpu,cpuacct" without the usual link
    }
  }
  return least;
}

}  // namespace incipit
