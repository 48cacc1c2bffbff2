#include "base/routing.h"

#include <algorithm>
#include <cmath>

namespace incipit {
namespace {

/// Closes the experts of all but the best groups.
void close_groups(const Routing& routing, RoutingWork* work) {
  const int32_t size = routing.experts / routing.groups;
  const auto is_open = [&](int32_t e) { return work[e].open; };
  const auto choice = [&](int32_t e) { return work[e].choice; };
  for (int32_t g = 0; g < routing.groups; ++g) {
    work[g].group = 0;
    work[g].group_open = true;
    for (int32_t i = 0; i < std::min(routing.group_best, size); ++i) {
      const int32_t best = largest_open(g * size, (g + 1) * size, is_open, choice);
      work[g].group += work[best].choice;
      work[best].open = false;
    }
  }
  for (int32_t i = 0; i < routing.top_groups; ++i) {
    const int32_t best = largest_open(
        0, routing.groups, [&](int32_t g) { return work[g].group_open; }, [&](int32_t g) { return work[g].group; });
    work[best].group_open = false;
    for (int32_t e = best * size; e < (best + 1) * size; ++e) work[e].open = true;
  }
  for (int32_t g = 0; g < routing.groups; ++g) {
    for (int32_t e = g * size; work[g].group_open && e < (g + 1) * size; ++e) work[e].open = false;
  }
}

/// The largest logit's share among those that come near it and were not taken before.
double share_of_near(const Routing& routing, const float* logits, const RoutingWork* work, int32_t expert) {
  const double largest = logits[expert];
  double total = 1;
  for (int32_t e = 0; e < routing.experts; ++e) {
    if (e != expert && work[e].open && comes_near(routing, logits[e], largest)) total += std::exp(logits[e] - largest);
  }
  return 1 / total;
}

}  // namespace

bool is_possible(const Routing& routing) {
  return routing.top_k > 0 && routing.experts >= routing.top_k && routing.groups > 0 &&
         routing.experts % routing.groups == 0 && routing.top_groups > 0 && routing.top_groups <= routing.groups &&
         routing.group_best > 0 && routing.experts / routing.groups * routing.top_groups >= routing.top_k;
}

void route(const Routing& routing, const float* logits, const float* correction, RoutingWork* work, int32_t* expert,
           float* weight) {
  const auto is_open = [&](int32_t e) { return work[e].open; };
  for (int32_t e = 0; e < routing.experts; ++e) work[e].open = true;
  const int32_t first = largest_open(0, routing.experts, is_open, [&](int32_t e) { return logits[e]; });
  const double largest = logits[first];
  double total = 0;
  for (int32_t e = 0; e < routing.experts; ++e) {
    work[e].share = share_of(routing, logits[e], largest);
    total += work[e].share;
  }
  if (routing.scores == RoutingScores::sigmoid) total = 1;
  const bool by_logits = chooses_by_logits(routing, correction);
  for (int32_t e = 0; e < routing.experts; ++e) {
    const double added = correction == nullptr ? 0 : correction[e];
    work[e].choice = by_logits ? logits[e] : work[e].share / total + added;
  }
  if (routing.groups > 1) close_groups(routing, work);
  double sum = 0;
  for (int32_t slot = 0; slot < routing.top_k; ++slot) {
    const int32_t best = largest_open(0, routing.experts, is_open, [&](int32_t e) { return work[e].choice; });
    if (routing.scores == RoutingScores::sparsemixer) {
      work[best].share = share_of_near(routing, logits, work, best);
    }
    expert[slot] = best;
    work[best].open = false;
    sum += work[best].share;
  }
  const double divisor = routing_divisor(routing, total, sum);
  for (int32_t slot = 0; slot < routing.top_k; ++slot) {
    weight[slot] = static_cast<float>(work[expert[slot]].share / divisor * double{routing.scale});
  }
}

}  // namespace incipit
