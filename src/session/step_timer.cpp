#include "session/step_timer.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"

namespace incipit {
namespace {

/// Of a step on the host, unless it is of one sequence behind no more than the middle context. Pages that nobody has
/// touched yet take no memory, and should not begin to for this. Fewer pages in their place, each read several times,
/// would be in a cache: attention to longer contexts follows from that to a shorter one.
constexpr int64_t most_read_bytes = int64_t{128} << 20;

int32_t pages_for(int32_t tokens, int32_t page_tokens) { return (tokens + page_tokens - 1) / page_tokens; }

}  // namespace

StepTimer::StepTimer(Executor& executor) : executor_(executor) {
  for (const ExecutorLimits::Group& group : executor.limits().groups) {
    touched_.emplace_back(static_cast<size_t>(group.pages));
  }
}

/// Tables for sequences that end at `ends`: pages behind the context are read by all, the others are each one's own.
bool StepTimer::lay_out(const Scheduler& scheduler, size_t group, const std::vector<int32_t>& ends, int32_t context,
                        Pages& into) {
  const ExecutorLimits::Group& limits = executor_.limits().groups[group];
  const std::span<const int32_t> unused = scheduler.pool(static_cast<int32_t>(group)).free();
  const auto shared = static_cast<size_t>(context / limits.page_tokens);
  size_t own = 0;
  for (const int32_t end : ends) own += static_cast<size_t>(pages_for(end, limits.page_tokens)) - shared;
  if (unused.size() < own + (shared > 0 ? 1 : 0)) return false;
  const std::span<const int32_t> read = unused.subspan(own);
  if (executor_.device().target().backend != Backend::cuda) {
    const size_t wanted = shared * ends.size();
    const bool is_middle = ends.size() == 1 && context <= StepCosts::middle_context;
    const int64_t bytes = static_cast<int64_t>(wanted) * limits.page_bytes;
    if (read.size() < wanted || (bytes > most_read_bytes && !is_middle)) return false;
  }
  size_t next_own = 0, next_read = 0;
  into.tables.assign(ends.size(), {});
  for (size_t s = 0; s < ends.size(); ++s) {
    for (int32_t page = 0; page < pages_for(ends[s], limits.page_tokens); ++page) {
      const bool reads = static_cast<size_t>(page) < shared;
      into.tables[s].push_back(reads ? read[next_read++ % read.size()] : unused[next_own++]);
      const auto index = static_cast<size_t>(into.tables[s].back());
      // Memory that was never written is one page of zeros to the system, and faster than any.
      if (reads && !touched_[group][index]) {
        executor_.copy_page(static_cast<int32_t>(group), unused[0], into.tables[s].back());
        touched_[group][index] = true;
      }
    }
  }
  return true;
}

std::optional<int64_t> StepTimer::time(const Scheduler& scheduler, const StepCosts::Cell& cell) {
  const ExecutorLimits& limits = executor_.limits();
  const int32_t sequences = cell.sequences;
  INCIPIT_ASSERT(sequences > 0 && sequences <= scheduler.limits().slots && cell.tokens >= sequences);
  std::vector<int32_t> ends;
  for (int32_t s = 0; s < sequences; ++s) {
    ends.push_back(cell.context + cell.tokens / sequences + (s < cell.tokens % sequences ? 1 : 0));
  }
  std::vector<Pages> pages(limits.groups.size());
  for (size_t g = 0; g < limits.groups.size(); ++g) {
    if (!lay_out(scheduler, g, ends, cell.context, pages[g])) return {};
  }
  std::vector<int32_t> ids(static_cast<size_t>(limits.max_context) + 1);
  for (size_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<int32_t>(i * 7919 % static_cast<size_t>(limits.vocabulary));
  std::vector<BatchEntry> entries(ends.size());
  std::vector<std::vector<std::span<const int32_t>>> tables(ends.size());
  std::vector<int32_t> rows(ends.size());
  for (size_t s = 0; s < ends.size(); ++s) {
    const int32_t tokens = ends[s] - cell.context;
    executor_.configure(static_cast<int32_t>(s), {}, 0, std::span(ids).first(static_cast<size_t>(cell.context)));
    for (const Pages& group : pages) tables[s].push_back(group.tables[s]);
    rows[s] = tokens - 1;
    entries[s].slot = static_cast<int32_t>(s);
    entries[s].tokens = std::span(ids).first(static_cast<size_t>(tokens));
    entries[s].first_position = cell.context;
    entries[s].pages = tables[s];
    entries[s].rows = {&rows[s], 1};
  }
  Batch batch;
  batch.entries = entries;
  const auto begin = std::chrono::steady_clock::now();
  executor_.collect(executor_.submit(batch));
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
  return std::max<int64_t>(1, us.count());
}

}  // namespace incipit
