// The choice of experts, in portable C++: a token has tens to hundreds of logits, and its experts' products take a
// thousand times as long.
#include <cmath>

#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"

namespace incipit {
namespace {

/// The largest of those not `taken`, of equals the lower number. A NaN is larger than nothing, so that some expert not
/// taken is found whatever the logits.
int32_t next_expert(const float* logits, int32_t experts, const int32_t* taken, int32_t count) {
  const auto is_taken = [&](int32_t expert) {
    for (int32_t i = 0; i < count; ++i) {
      if (taken[i] == expert) return true;
    }
    return false;
  };
  int32_t best = -1;
  for (int32_t e = 0; e < experts; ++e) {
    if ((best < 0 || logits[e] > logits[best]) && !is_taken(e)) best = e;
  }
  return best;
}

void run_router(const Router::Problem& problem, const Router::Args& args, const KernelConfig&, int64_t tile,
                std::byte*) {
  const RowRange range = rows_of_tile(problem.experts, args.rows, tile);
  for (int64_t row = range.begin; row < range.end; ++row) {
    const float* logits = args.logits + row * args.logit_stride;
    int32_t* expert = args.expert + row * args.expert_stride;
    float* weight = args.weight + row * args.weight_stride;
    for (int32_t slot = 0; slot < problem.top_k; ++slot) {
      expert[slot] = next_expert(logits, problem.experts, expert, slot);
    }
    const double largest = logits[expert[0]];
    const auto power = [&](int32_t e) { return std::exp(logits[e] - largest); };
    double total = 0;
    if (problem.normalize) {
      for (int32_t slot = 0; slot < problem.top_k; ++slot) total += power(expert[slot]);
    } else {
      for (int32_t e = 0; e < problem.experts; ++e) total += power(e);
    }
    for (int32_t slot = 0; slot < problem.top_k; ++slot) {
      weight[slot] = static_cast<float>(power(expert[slot]) / total);
    }
    if (args.pad_output) {
      zero_padding(expert, problem.top_k, args.expert_stride);
      zero_padding(weight, problem.top_k, args.weight_stride);
    }
  }
}

}  // namespace

Kernel<Router> router_generic() {
  const auto accepts = [](const Router::Problem& p) { return p.top_k > 0 && p.experts >= p.top_k; };
  const auto tiles = [](const Router::Problem& p, const Router::Args& args, const KernelConfig&) {
    return row_tiles(p.experts, args.rows);
  };
  return {"router/generic", 1, {}, accepts, plain_config, {no_scratch_needed<Router>, tiles, run_router}};
}

}  // namespace incipit
