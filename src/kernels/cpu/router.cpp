// The choice of experts, in portable C++: a token has tens to hundreds of logits, and its experts' products take a
// thousand times as long.
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"

namespace incipit {
namespace {

void run_router(const Router::Problem& problem, const Router::Args& args, const KernelConfig&, int64_t tile,
                std::byte* scratch) {
  const RowRange range = rows_of_tile(problem.experts, args.rows, tile);
  auto* work = reinterpret_cast<RoutingWork*>(scratch + scratch_memory_bytes);
  for (int64_t row = range.begin; row < range.end; ++row) {
    int32_t* expert = args.expert + row * args.expert_stride;
    float* weight = args.weight + row * args.weight_stride;
    route(problem, args.logits + row * args.logit_stride, problem.correction ? args.correction : nullptr, work, expert,
          weight);
    if (args.pad_output) {
      zero_padding(expert, problem.top_k, args.expert_stride);
      zero_padding(weight, problem.top_k, args.weight_stride);
    }
  }
}

}  // namespace

Kernel<Router> router_generic() {
  const auto accepts = [](const Router::Problem& p) { return is_possible(p); };
  const auto scratch = [](const Router::Problem& p, const KernelConfig&, int32_t) {
    return scratch_memory_bytes + static_cast<size_t>(p.experts) * sizeof(RoutingWork);
  };
  const auto tiles = [](const Router::Problem& p, const Router::Args& args, const KernelConfig&) {
    return row_tiles(p.experts, args.rows);
  };
  return {"router/generic", 2, {}, accepts, plain_config, {scratch, tiles, run_router}};
}

}  // namespace incipit
