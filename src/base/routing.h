// How a token chooses experts, and what their results weigh: one rule, for the graph's op, the kernels and their
// reference. CUDA's router has a warp for a token, and its steps from here.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "base/activation.h"
#include "base/enumeration.h"

namespace incipit {

/// What logits become before experts are chosen:
/// softmax      over all experts (Shazeer et al.: Outrageously Large Neural Networks, 2017);
/// sigmoid      each for itself (DeepSeek-AI: DeepSeek-V3, 2024);
/// sparsemixer  nothing; a chosen expert's weight is its share of the softmax over those that come near it (Liu et al.:
///              GRIN, 2024).
enum class RoutingScores : uint8_t { softmax, sigmoid, sparsemixer };
constexpr std::array<std::string_view, 3> routing_score_names{"softmax", "sigmoid", "sparsemixer"};
constexpr const auto& enumeration_names(RoutingScores) { return routing_score_names; }

struct Routing {
  int32_t experts = 0, top_k = 0;
  bool normalize = false;  // the weights of the chosen ones are divided by their sum
  RoutingScores scores = RoutingScores::softmax;
  float floor = 0;  // the least that they are divided by
  float scale = 1;  // multiplies the weights, last
  /// The experts, in order, are of so many groups, and are chosen from the `top_groups` best: those whose `group_best`
  /// best experts have the largest sum.
  int32_t groups = 1, top_groups = 1, group_best = 1;
  float jitter = 0;  // sparsemixer: an expert within 2·jitter of the largest, relatively, comes near it
};

/// The largest value of what is open, of equals the first. A NaN is larger than nothing, so that something open is
/// found whatever the values.
template <typename Open, typename Value>
int32_t largest_open(int32_t begin, int32_t end, Open is_open, Value value) {
  int32_t best = -1;
  for (int32_t i = begin; i < end; ++i) {
    if (is_open(i) && (best < 0 || value(i) > value(best))) best = i;
  }
  return best;
}

/// What a logit becomes: its share, not yet divided by the sum of all.
inline double share_of(const Routing& routing, double logit, double largest) {
  return routing.scores == RoutingScores::sigmoid ? sigmoid(logit) : std::exp(logit - largest);
}

/// Scores that are only compared may be the logits, which are further apart.
inline bool chooses_by_logits(const Routing& routing, const float* correction) {
  return correction == nullptr && (routing.groups == 1 || routing.group_best == 1);
}

/// sparsemixer: whether a logit comes near the largest.
inline bool comes_near(const Routing& routing, double logit, double largest) {
  const double magnitude = logit < 0 ? -logit : logit, unit = magnitude < largest ? largest : magnitude;
  return !((largest - logit) / unit > 2 * static_cast<double>(routing.jitter));
}

/// What the shares of the chosen experts are divided by, of their sum and that of all.
inline double routing_divisor(const Routing& routing, double all, double chosen) {
  const double total = routing.scores == RoutingScores::softmax ? all : 1;
  return routing.normalize ? std::max(chosen, static_cast<double>(routing.floor) * total) : total;
}

/// Whether there are experts to choose from for each of `top_k`.
bool is_possible(const Routing& routing);

/// What route() computes with: one for each expert.
struct RoutingWork {
  double share, choice, group;
  bool open, group_open;
};

/// Chooses the `top_k` experts of the largest scores, of equals the lower number, in descending order, and their
/// weights. `correction` (may be null): added to the scores for the choice alone. Whatever the logits, NaN included,
/// the experts are distinct and in range.
void route(const Routing& routing, const float* logits, const float* correction, RoutingWork* work, int32_t* expert,
           float* weight);

}  // namespace incipit
