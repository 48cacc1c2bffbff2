#include "measure/step_groups.h"

#include <algorithm>
#include <map>
#include <utility>

namespace incipit {
namespace {

/// "layers.7.qkv" → "layers.*.qkv".
std::string without_numbers(std::string_view name) {
  std::string result;
  for (size_t i = 0; i < name.size();) {
    if (name[i] < '0' || name[i] > '9' || (i > 0 && name[i - 1] != '.')) {
      result += name[i++];
      continue;
    }
    result += '*';
    while (i < name.size() && name[i] >= '0' && name[i] <= '9') ++i;
  }
  return result;
}

}  // namespace

std::vector<StepGroup> group_steps(const std::vector<TracedPass>& passes, const plan::Plan& plan,
                                   const MachineCeilings& ceilings, int32_t runs) {
  const std::map<std::string, bool, std::less<>> over_rows = steps_over_rows(plan);
  std::map<std::pair<std::string, std::string>, size_t> known;
  std::vector<StepGroup> groups;
  for (const TracedPass& pass : passes) {
    for (const StepTime& time : pass.steps) {
      const auto [found, fresh] = known.try_emplace({time.problem, time.kernel}, groups.size());
      if (fresh) groups.push_back({without_numbers(time.name), time.problem, time.kernel, 0, 0, 0});
      StepGroup& group = groups[found->second];
      const auto axis = over_rows.find(time.name);
      const bool rows = axis == over_rows.end() || axis->second;
      ++group.count;
      group.ms += time.milliseconds / runs;
      group.limit_ms += limit_of_step(time.problem, rows, pass.shape, ceilings) / runs;
    }
  }
  for (StepGroup& group : groups) group.count /= runs;
  std::ranges::stable_sort(groups, [](const StepGroup& a, const StepGroup& b) { return a.ms > b.ms; });
  return groups;
}

}  // namespace incipit
