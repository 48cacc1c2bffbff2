#include "kernels/cuda/attention_cuda.h"
#include "kernels/cuda/attention_wgmma_shape.h"
#include "kernels/cuda/cuda_kernels.h"

namespace incipit {
namespace {

bool accepts_wgmma_attention(const Attention::Problem& problem) {
  return accepts_cuda_attention(problem) && problem.cache == DType::bf16 &&
         (problem.head_dim == 64 || problem.head_dim == 128) &&
         problem.heads / problem.kv_heads <= AttentionWgmmaShape::group_rows;
}

CudaLaunch launch_wgmma_attention(const Attention::Problem& problem, const Attention::Args& args, const KernelConfig&,
                                  const LaunchCounts& counts, const CudaLimits& limits) {
  const AttentionWgmmaShape shape{problem.head_dim};
  CudaLaunch launch;
  launch.grid[0] = static_cast<uint32_t>(limits.multiprocessors);
  launch.threads = 128 * shape.warpgroups;
  launch.shared_bytes = static_cast<uint32_t>(shape.shared_bytes());
  launch.early = true;
  launch.set_parameters(aligned_attention_params(problem, args, counts));
  return launch;
}

/// Single tokens are attention_mma.cu's, which splits their contexts.
const KernelConfig* guess_wgmma_attention(const Attention::Problem&, int32_t rows) {
  return rows <= 64 ? nullptr : plain_cuda_config;
}

}  // namespace

Kernel<Attention> attention_wgmma_cuda() {
  Kernel<Attention> kernel =
      cuda_kernel<Attention>("attention/cuda_wgmma", hopper_cuda, accepts_wgmma_attention,
                             {"attention_wgmma.cu", defines_of_attention_products, launch_wgmma_attention});
  kernel.guess = guess_wgmma_attention;
  return kernel;
}

}  // namespace incipit
