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
  AttentionParams params = aligned_attention_params(problem, args, counts);
  // Two blocks a multiprocessor, where it has room for them.
  constexpr int32_t most_bytes = 112 * 1024,
                    reserved_bytes = 1024 + 64;  // those: of a block, by the driver and by name
  params.split_warps = std::clamp(std::min(limits.shared_bytes, most_bytes) / shape.warp_bytes(), 1, shape.warps());
  const int32_t bytes = std::max(shape.tile_bytes(), params.split_warps * shape.warp_bytes());
  const int32_t blocks = std::clamp((limits.shared_bytes + 1024) / (bytes + reserved_bytes), 1, 2);

  CudaLaunch launch;
  launch.grid[0] = static_cast<uint32_t>(blocks * limits.multiprocessors);
  launch.threads = static_cast<uint32_t>(32 * shape.warps());
  launch.shared_bytes = static_cast<uint32_t>(bytes);
  launch.early = true;
  launch.set_parameters(params);
  return launch;
}

/// Room for the sums of some sequences' pages; what does not fit is not split.
size_t mma_attention_workspace(const Attention::Problem& problem, const KernelConfig&, int32_t max_context) {
  constexpr int64_t sequences = 16, most_bytes = 64 << 20;
  const int64_t pages = round_up(max_context, AttentionShape::page_tokens) / AttentionShape::page_tokens;
  const int64_t of_one = pages * problem.heads * shape_of(problem).sum_row() * 4;
  return static_cast<size_t>(AttentionShape::counter_bytes +
                             round_up(std::max(of_one, std::min(sequences * of_one, most_bytes)), 64));
}

}  // namespace

Kernel<Attention> attention_mma_cuda() {
  Kernel<Attention> kernel =
      cuda_kernel<Attention>("attention/cuda_mma", any_cuda, accepts_mma_attention,
                             {"attention_mma.cu", defines_of_attention_products, launch_mma_attention});
  kernel.workspace_bytes = mma_attention_workspace;
  return kernel;
}

}  // namespace incipit
