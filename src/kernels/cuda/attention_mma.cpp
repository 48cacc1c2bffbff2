#include "kernels/cuda/attention_cuda.h"
#include "kernels/cuda/attention_shape.h"
#include "kernels/cuda/cuda_kernels.h"

namespace incipit {
namespace {

AttentionShape shape_of(const Attention::Problem& problem) {
  return {problem.head_dim, problem.cache == DType::f16 ? 2 : 1};
}

bool accepts_mma_attention(const Attention::Problem& problem) {
  return accepts_cuda_attention(problem) && problem.cache != DType::f32 && problem.head_dim % 16 == 0 &&
         problem.heads / problem.kv_heads <= shape_of(problem).tile_rows();
}

CudaLaunch launch_mma_attention(const Attention::Problem& problem, const Attention::Args& args, const KernelConfig&,
                                const LaunchCounts& counts, const CudaLimits& limits) {
  const AttentionShape shape = shape_of(problem);
  // Two blocks a multiprocessor, where it has room for them.
  constexpr int32_t reserved_bytes = 1024 + 64;  // of a block, by the driver and by name
  const int32_t blocks = std::clamp((limits.shared_bytes + 1024) / (shape.tile_bytes() + reserved_bytes), 1, 2);

  CudaLaunch launch;
  launch.grid[0] = static_cast<uint32_t>(blocks * limits.multiprocessors);
  launch.threads = static_cast<uint32_t>(32 * shape.warps());
  launch.shared_bytes = static_cast<uint32_t>(shape.tile_bytes());
  launch.early = true;
  launch.set_parameters(aligned_attention_params(problem, args, counts));
  return launch;
}

/// Its counters.
size_t mma_attention_workspace(const Attention::Problem&, const KernelConfig&, int32_t) { return 64; }

}  // namespace

Kernel<Attention> attention_mma_cuda() {
  Kernel<Attention> kernel =
      cuda_kernel<Attention>("attention/cuda_mma", any_cuda, accepts_mma_attention,
                             {"attention_mma.cu", defines_of_attention_products, launch_mma_attention});
  kernel.abi = 2;
  kernel.workspace_bytes = mma_attention_workspace;
  return kernel;
}

}  // namespace incipit
