#include <vector>

#include "kernels/families.h"
#include "kernels/reference/elements.h"

namespace incipit {

void Router::reference(const Problem& problem, const Args& args) {
  std::vector<RoutingWork> work(static_cast<size_t>(problem.experts));
  for (int64_t row = 0; row < args.rows; ++row) {
    route(problem, args.logits + row * args.logit_stride, problem.correction ? args.correction : nullptr, work.data(),
          args.expert + row * args.expert_stride, args.weight + row * args.weight_stride);
    if (args.pad_output) {
      pad_row(reinterpret_cast<std::byte*>(args.expert), row, problem.top_k, args.expert_stride, sizeof(int32_t));
      pad_row(reinterpret_cast<std::byte*>(args.weight), row, problem.top_k, args.weight_stride, sizeof(float));
    }
  }
}

}  // namespace incipit
