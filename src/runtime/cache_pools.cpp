#include "runtime/cache_pools.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "engine/plan_items.h"
#include "kernels/kv_pages.h"

namespace incipit {
namespace {

/// Pages that a sequence at full context holds.
int64_t pages_of_sequence(const plan::Plan& plan, const plan::CacheGroup& group) {
  const int64_t step = plan.buckets()->Get(count(plan.buckets()) - 1)->tokens();
  return most_kv_pages(group.page_tokens(), group.window(), plan.max_context(), step);
}

int64_t pitch_of(const plan::CacheGroup& group) { return kv_page_pitch(static_cast<int64_t>(group.page_bytes())); }

}  // namespace

int64_t cache_bytes_of_sequence(const plan::Plan& plan) {
  int64_t bytes = 0;
  for (const plan::CacheGroup* group : items(plan.groups()))
    bytes += pages_of_sequence(plan, *group) * pitch_of(*group);
  return bytes;
}

std::vector<ExecutorLimits::Group> plan_cache_pools(const plan::Plan& plan, int64_t cache_bytes, int64_t largest_bytes,
                                                    std::string_view engine) {
  for (const plan::CacheGroup* group : items(plan.groups())) {
    if (group->kind() == plan::CacheKind::paged) continue;
    throw Error(engine, "keeps a state of a fixed size for each sequence, which this incipit cannot",
                "build the engine again with this incipit");
  }
  const auto sequence_bytes = static_cast<double>(cache_bytes_of_sequence(plan));
  double sequences = plan.max_sequences();
  if (cache_bytes > 0) sequences = static_cast<double>(cache_bytes) / sequence_bytes;
  if (largest_bytes > 0) sequences = std::min(sequences, static_cast<double>(largest_bytes) / sequence_bytes);
  if (sequences < 1) {
    const bool by_option = cache_bytes > 0 && (largest_bytes == 0 || cache_bytes <= largest_bytes);
    throw Error(engine,
                fmt::format("one sequence of {} tokens takes {:.0f} bytes of cache, more than the {} that {}",
                            plan.max_context(), sequence_bytes, by_option ? cache_bytes : largest_bytes,
                            by_option ? "were asked for" : "its memory limit leaves"),
                by_option ? "ask for more" : "build it with a larger --memory or a smaller --max-context");
  }
  std::vector<ExecutorLimits::Group> groups;
  for (const plan::CacheGroup* group : items(plan.groups())) {
    const double pages = static_cast<double>(pages_of_sequence(plan, *group)) * sequences;
    ExecutorLimits::Group limits;
    limits.page_tokens = static_cast<int32_t>(group->page_tokens());
    limits.window = static_cast<int32_t>(group->window());
    limits.pages = static_cast<int32_t>(std::min(pages, static_cast<double>(std::numeric_limits<int32_t>::max())));
    limits.page_bytes = pitch_of(*group);
    groups.push_back(limits);
  }
  return groups;
}

}  // namespace incipit
