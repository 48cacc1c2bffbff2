#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/describe.h"
#include "kernels/cuda/router_params.h"

namespace incipit {
namespace {

std::string defines_of_router(const Router::Problem&, const KernelConfig&) { return {}; }

CudaLaunch launch_router(const Router::Problem& problem, const Router::Args& args, const KernelConfig&,
                         const LaunchCounts& counts, const CudaLimits&) {
  CudaLaunch launch;
  launch.grid[0] = static_cast<uint32_t>(counts.rows);
  launch.shared_bytes = router_shared_bytes(problem);
  launch.early = true;
  launch.set_parameters(
      RouterParams{counts, problem, args.logits, args.logit_stride, problem.correction ? args.correction : nullptr,
                   args.expert, args.expert_stride, padded_width(problem.top_k, args.expert_stride, args.pad_output),
                   args.weight, args.weight_stride, padded_width(problem.top_k, args.weight_stride, args.pad_output)});
  return launch;
}

}  // namespace

Kernel<Router> router_cuda() {
  constexpr uint32_t shared_bytes_of_all = 48 * 1024;  // of some 2,800 experts
  const auto accepts = [](const Router::Problem& p) {
    return is_possible(p) && router_shared_bytes(p) <= shared_bytes_of_all;
  };
  return cuda_kernel<Router>("router/cuda", any_cuda, accepts, {"router.cu", defines_of_router, launch_router});
}

}  // namespace incipit
