#include "server/memory_shares.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/readable.h"
#include "runtime/executor.h"

namespace incipit {

std::vector<int64_t> share_memory(std::span<const MemoryNeed> needs, int64_t for_caches, int64_t machine) {
  int64_t fixed = 0, wanted = 0, least = 0, wanted_here = 0;
  for (const MemoryNeed& need : needs) {
    wanted += need.cache;
    least += need.least_cache;
    if (!need.on_processor) continue;
    fixed += need.fixed;
    wanted_here += need.cache;
  }
  const auto readable = [](int64_t bytes) { return readable_bytes(static_cast<double>(bytes)); };
  int64_t budget = std::min(wanted, for_caches);
  if (for_caches == 0) {
    budget = wanted_here + fixed <= machine ? wanted : std::max(least, wanted - (wanted_here + fixed - machine));
  } else if (for_caches < least) {
    throw Error("--memory",
                fmt::format("{} do not hold one sequence of each engine at full context, which take {}",
                            readable(for_caches), readable(least)),
                "give more, or serve fewer engines");
  } else if (fixed + std::min(budget, wanted_here) > machine) {
    throw Error("--memory",
                fmt::format("{} of caches beside {} of engines are more than the {} of this machine", readable(budget),
                            readable(fixed), readable(machine)),
                "give less, or serve fewer engines");
  }
  std::vector<int64_t> shares;
  const auto room = static_cast<double>(budget - least), more = static_cast<double>(wanted - least);
  for (const MemoryNeed& need : needs) {
    const double part = more > 0 ? static_cast<double>(need.cache - need.least_cache) / more : 0;
    shares.push_back(std::min(need.cache, need.least_cache + static_cast<int64_t>(room * part)));
  }
  return shares;
}

std::vector<int64_t> share_caches(std::span<const std::shared_ptr<const Engine>> engines, int64_t for_caches,
                                  int64_t machine) {
  std::vector<MemoryNeed> needs;
  for (const std::shared_ptr<const Engine>& engine : engines) {
    const Executor::Needs takes = Executor::needs(*engine);
    needs.push_back({takes.memory.weights + takes.memory.arena + takes.memory.state, takes.memory.pages,
                     takes.least_pages, engine->target().backend != Backend::cuda});
  }
  std::vector<int64_t> shares = share_memory(needs, for_caches, machine);
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] == needs[i].cache) shares[i] = 0;  // the engine's own limit is exact
  }
  return shares;
}

}  // namespace incipit
