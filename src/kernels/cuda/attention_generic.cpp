#include "kernels/cuda/attention_cuda.h"
#include "kernels/cuda/cuda_kernels.h"

namespace incipit {
namespace {

/// A key's elements are loaded by 16 bytes where its rows allow that, else by two.
std::string defines_of_generic_attention(const Attention::Problem& problem, const KernelConfig&) {
  const int32_t widest = 16 / static_cast<int32_t>(size_of(problem.cache));
  return define_attention_types(problem) + define("VECTOR", problem.head_dim % widest == 0 ? widest : 2);
}

CudaLaunch launch_generic_attention(const Attention::Problem& problem, const Attention::Args& args, const KernelConfig&,
                                    const LaunchCounts& counts, const CudaLimits&) {
  CudaLaunch launch;
  launch.grid = {static_cast<uint32_t>(counts.rows), static_cast<uint32_t>(problem.heads + 3) / 4, 1};
  launch.threads = 128;
  launch.early = true;
  launch.set_parameters(attention_params(problem, args, counts));
  return launch;
}

}  // namespace

Kernel<Attention> attention_generic_cuda() {
  return cuda_kernel<Attention>("attention/cuda_generic", any_cuda, accepts_cuda_attention,
                                {"attention_generic.cu", defines_of_generic_attention, launch_generic_attention});
}

}  // namespace incipit
