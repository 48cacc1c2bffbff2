#include <cmath>
#include <vector>

#include "kernels/families.h"
#include "kernels/reference/elements.h"

namespace incipit {

void Router::reference(const Problem& problem, const Args& args) {
  std::vector<bool> taken;
  for (int64_t row = 0; row < args.rows; ++row) {
    const float* logits = args.logits + row * args.logit_stride;
    int32_t* expert = args.expert + row * args.expert_stride;
    float* weight = args.weight + row * args.weight_stride;
    taken.assign(static_cast<size_t>(problem.experts), false);
    for (int32_t slot = 0; slot < problem.top_k; ++slot) {
      int32_t best = -1;
      for (int32_t e = 0; e < problem.experts; ++e) {
        if (!taken[static_cast<size_t>(e)] && (best < 0 || logits[e] > logits[best])) best = e;
      }
      taken[static_cast<size_t>(best)] = true;
      expert[slot] = best;
    }
    const double largest = logits[expert[0]];
    const auto power = [&](int32_t e) { return std::exp(logits[e] - largest); };
    double total = 0;
    for (int32_t i = 0; i < (problem.normalize ? problem.top_k : problem.experts); ++i) {
      total += power(problem.normalize ? expert[i] : i);
    }
    for (int32_t slot = 0; slot < problem.top_k; ++slot) {
      weight[slot] = static_cast<float>(power(expert[slot]) / total);
    }
    if (args.pad_output) {
      pad_row(reinterpret_cast<std::byte*>(args.expert), row, problem.top_k, args.expert_stride, sizeof(int32_t));
      pad_row(reinterpret_cast<std::byte*>(args.weight), row, problem.top_k, args.weight_stride, sizeof(float));
    }
  }
}

}  // namespace incipit
