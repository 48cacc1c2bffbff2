#include "runtime/step_sizes.h"

#include <algorithm>
#include <set>

#include "engine/plan_items.h"

namespace incipit {
namespace {

/// Up to how many rows of an axis the steps of a plan have the same kernels.
std::set<uint32_t> edges_on(const plan::Plan& plan, plan::Axis axis) {
  std::set<uint32_t> edges;
  const auto add = [&](const plan::Step& step) {
    if (step.axis() != axis) return;
    for (const plan::KernelUse* use : items(step.kernels())) edges.insert(use->rows());
  };
  add(*plan.resolve_tokens());
  for (const plan::Step* step : items(plan.steps())) add(*step);
  add(*plan.sample());
  return edges;
}

/// Those below `most`, and `most`.
std::vector<int32_t> up_to(const std::set<uint32_t>& edges, uint32_t most) {
  std::vector<int32_t> kept;
  for (const uint32_t edge : edges) {
    if (edge < most) kept.push_back(static_cast<int32_t>(edge));
  }
  kept.push_back(static_cast<int32_t>(most));
  return kept;
}

}  // namespace

std::vector<StepSize> step_sizes(const plan::Plan& plan, bool has_chunks) {
  const std::set<uint32_t> token_edges = edges_on(plan, plan::Axis::tokens);
  const std::set<uint32_t> row_edges = edges_on(plan, plan::Axis::rows);
  has_chunks = has_chunks && plan.buckets()->Get(count(plan.buckets()) - 1)->tokens() > uint32_t{few_queries};
  std::vector<StepSize> sizes;
  StepCounts smaller;  // what fits the bucket before
  for (uint32_t i = 0; i < count(plan.buckets()); ++i) {
    const plan::Bucket& bucket = *plan.buckets()->Get(i);
    for (const int32_t tokens : up_to(token_edges, bucket.tokens())) {
      int32_t fewer_rows = -1;
      const std::vector<int32_t> edges = up_to(row_edges, bucket.rows());
      if (has_chunks && tokens > std::max(smaller.tokens, few_queries / 2) && tokens <= few_queries) {
        sizes.push_back({i, tokens, std::min(tokens, edges.front()), 1, true});
      }
      for (const int32_t rows : edges) {
        const bool possible = fewer_rows < tokens;  // every row is a token's
        fewer_rows = rows;
        const StepSize size{i, tokens, rows, std::min(tokens, static_cast<int32_t>(bucket.sequences()))};
        const bool is_new =
            tokens > smaller.tokens || std::min(rows, tokens) > smaller.rows || size.sequences > smaller.sequences;
        if (possible && is_new) sizes.push_back(size);
      }
    }
    smaller.tokens = static_cast<int32_t>(bucket.tokens());
    smaller.rows = static_cast<int32_t>(bucket.rows());
    smaller.sequences = static_cast<int32_t>(bucket.sequences());
  }
  return sizes;
}

}  // namespace incipit
