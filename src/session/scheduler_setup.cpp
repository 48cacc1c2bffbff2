#include "session/scheduler_setup.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "runtime/step_sizes.h"

namespace incipit {

SchedulerLimits make_scheduler_limits(const ExecutorLimits& limits, const SessionOptions& options) {
  SchedulerLimits result;
  result.max_context = limits.max_context;
  result.slots = limits.slots;
  result.max_tokens = limits.max_tokens;
  result.max_rows = limits.max_rows;
  result.max_sequences = limits.max_sequences;
  result.prefill_chunk = options.prefill_chunk;
  result.prefix_cache = options.prefix_cache;
  for (const ExecutorLimits::Group& group : limits.groups) {
    result.groups.push_back({group.page_tokens, group.window, group.pages});
  }
  return result;
}

StepCosts empty_costs(const Engine& engine, const SchedulerLimits& limits) {
  constexpr int32_t near = 2, far = 4;
  std::set<int32_t> edges;
  for (const StepSize& size : step_sizes(engine.plan(), false)) edges.insert(size.tokens);
  edges.insert(limits.max_tokens);
  std::vector<int32_t> tokens{1};
  for (const int32_t edge : edges) {
    if (edge > limits.max_tokens || (edge < near * tokens.back() && edge != limits.max_tokens)) continue;
    while (edge >= near * far * tokens.back()) tokens.push_back(far * tokens.back());
    if (edge > tokens.back()) tokens.push_back(edge);
  }
  const int32_t sequences = std::min({limits.slots, limits.max_tokens, limits.max_rows, limits.max_sequences});
  return StepCosts(std::move(tokens), sequences, limits.max_context);
}

}  // namespace incipit
