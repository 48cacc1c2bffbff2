// Router (kernels/families.h): route() of base/routing.h, by a warp a row. Lane l has every 32nd expert from l on, or
// group. Numbers that are compared or divided are double, as there.
#include "kernels/cuda/prelude.cuh"
#include "kernels/cuda/router_params.h"

using namespace incipit;

namespace {

inline double warp_sum(double x) {
  for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(all_lanes, x, distance);
  return x;
}

/// The largest value of what is open, of equals the first; a NaN where it is the first that is open, as nothing is
/// larger than that one then. All lanes get it.
template <typename Open, typename Value>
inline int32_t largest_open_of_warp(int32_t count, Open is_open, Value value) {
  int32_t first = count, best = -1;
  double most = 0;
  for (auto i = static_cast<int32_t>(threadIdx.x); i < count; i += warp_size) {
    if (!is_open(i)) continue;
    if (first == count) first = i;
    const double x = value(i);
    if (x == x && (best < 0 || x > most)) {
      best = i;
      most = x;
    }
  }
  for (int distance = 16; distance > 0; distance /= 2) {
    const int32_t other_first = __shfl_xor_sync(all_lanes, first, distance);
    const int32_t other = __shfl_xor_sync(all_lanes, best, distance);
    const double others = __shfl_xor_sync(all_lanes, most, distance);
    if (other_first < first) first = other_first;
    if (other >= 0 && (best < 0 || others > most || (others == most && other < best))) {
      best = other;
      most = others;
    }
  }
  const double x = value(first);
  return x == x ? best : first;
}

/// A row's numbers in shared memory.
struct Work {
  double *share, *choice, *group;
  int32_t* chosen;
  uint8_t *open, *group_open;

  Work(const Routing& routing, double* memory)
      : share(memory),
        choice(share + routing.experts),
        group(choice + routing.experts),
        chosen(reinterpret_cast<int32_t*>(group + routing.groups)),
        open(reinterpret_cast<uint8_t*>(chosen + routing.top_k)),
        group_open(open + routing.experts) {}
};

/// Closes the experts of all but the best groups.
inline void close_groups(const Routing& routing, const Work& work) {
  const int32_t size = routing.experts / routing.groups;
  const auto lane = static_cast<int32_t>(threadIdx.x);
  for (int32_t g = lane; g < routing.groups; g += warp_size) {
    double sum = 0;
    for (int32_t i = 0; i < routing.group_best && i < size; ++i) {
      const int32_t best = largest_open(
          g * size, (g + 1) * size, [&](int32_t e) { return work.open[e] != 0; },
          [&](int32_t e) { return work.choice[e]; });
      sum += work.choice[best];
      work.open[best] = 0;
    }
    work.group[g] = sum;
    work.group_open[g] = 1;
  }
  __syncwarp();
  for (int32_t i = 0; i < routing.top_groups; ++i) {
    const int32_t best = largest_open_of_warp(
        routing.groups, [&](int32_t g) { return work.group_open[g] != 0; }, [&](int32_t g) { return work.group[g]; });
    __syncwarp();
    if (lane == 0) work.group_open[best] = 0;
    __syncwarp();
  }
  for (int32_t e = lane; e < routing.experts; e += warp_size) work.open[e] = work.group_open[e / size] == 0 ? 1 : 0;
  __syncwarp();
}

/// The largest logit's share among those that come near it and were not taken before.
inline double share_of_near(const Routing& routing, const float* logits, const Work& work, int32_t expert) {
  const double largest = logits[expert];
  double total = 0;
  for (auto e = static_cast<int32_t>(threadIdx.x); e < routing.experts; e += warp_size) {
    const double logit = logits[e];
    if (e != expert && work.open[e] != 0 && comes_near(routing, logit, largest)) total += exp(logit - largest);
  }
  return 1 / (1 + warp_sum(total));
}

}  // namespace

extern "C" __global__ void __launch_bounds__(32) router(const __grid_constant__ RouterParams params) {
  const auto row = static_cast<int32_t>(blockIdx.x);
  if (!starts_row(params.counts, row)) return;
  extern __shared__ double memory[];
  const Routing& routing = params.routing;
  const Work work(routing, memory);
  const auto lane = static_cast<int32_t>(threadIdx.x);
  const float* logits = params.logits + row * params.logit_stride;
  const bool is_sparsemixer = routing.scores == RoutingScores::sparsemixer;

  const int32_t first = largest_open_of_warp(
      routing.experts, [](int32_t) { return true; }, [&](int32_t e) { return static_cast<double>(logits[e]); });
  const double largest = logits[first];
  double total = 0;
  for (int32_t e = lane; e < routing.experts; e += warp_size) {
    const double share = share_of(routing, logits[e], largest);
    work.share[e] = share;
    work.open[e] = 1;
    total += share;
  }
  total = routing.scores == RoutingScores::sigmoid ? 1 : warp_sum(total);
  const bool by_logits = chooses_by_logits(routing, params.correction);
  for (int32_t e = lane; e < routing.experts; e += warp_size) {
    const double added = params.correction == nullptr ? 0 : params.correction[e];
    work.choice[e] = by_logits ? logits[e] : work.share[e] / total + added;
  }
  __syncwarp();
  if (routing.groups > 1) close_groups(routing, work);

  double sum = 0;
  for (int32_t slot = 0; slot < routing.top_k; ++slot) {
    const int32_t best = largest_open_of_warp(
        routing.experts, [&](int32_t e) { return work.open[e] != 0; }, [&](int32_t e) { return work.choice[e]; });
    const double share = is_sparsemixer ? share_of_near(routing, logits, work, best) : work.share[best];
    sum += share;
    __syncwarp();
    if (lane == 0) {
      work.chosen[slot] = best;
      work.share[best] = share;
      work.open[best] = 0;
    }
    __syncwarp();
  }
  const double divisor = routing_divisor(routing, total, sum);
  int32_t* expert = params.expert + row * params.expert_stride;
  for (int32_t slot = lane; slot < params.padded_experts; slot += warp_size) {
    expert[slot] = slot < routing.top_k ? work.chosen[slot] : 0;
  }
  float* weight = params.weight + row * params.weight_stride;
  for (int32_t slot = lane; slot < params.padded_weights; slot += warp_size) {
    weight[slot] = slot < routing.top_k
                       ? static_cast<float>(work.share[work.chosen[slot]] / divisor * static_cast<double>(routing.scale))
                       : 0;
  }
}
