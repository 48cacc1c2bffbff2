#include "kernels/cuda/attention_cuda.h"
#include "kernels/cuda/attention_decode_params.h"
#include "kernels/cuda/cuda_kernels.h"

namespace incipit {
namespace {

/// values: parts of a context, warps of a block.
constexpr KernelConfig decode_configs[] = {
    {"parts8", {8, 8}}, {"parts4", {4, 8}}, {"parts1", {1, 8}}, {"parts1_warps4", {1, 4}}};
constexpr std::span<const KernelConfig> decode_cluster_configs = std::span(decode_configs).first(2);

bool accepts_decode_attention(const Attention::Problem& problem) {
  return accepts_cuda_attention(problem) && problem.cache != DType::f32 && problem.head_dim % 16 == 0;
}

/// A cluster's blocks have the parts of a context, or parts meet in the workspace.
template <bool by_cluster>
std::string defines_of_decode_attention(const Attention::Problem& problem, const KernelConfig& config) {
  return defines_of_attention_products(problem, config) + define_rotary(problem) + define("PARTS", config.values[0]) +
         define("WARPS", config.values[1]) + define("CLUSTER", by_cluster ? config.values[0] : 1);
}

template <bool by_cluster>
CudaLaunch launch_decode_attention(const Attention::Problem& problem, const Attention::Args& args,
                                   const KernelConfig& config, const LaunchCounts& counts, const CudaLimits& limits) {
  const AttentionDecodeShape shape{problem.head_dim, config.values[1], config.values[0]};
  AttentionDecodeParams params{};
  params.attention = aligned_attention_params(problem, args, counts);
  const int32_t columns =
      std::min(shape.columns, (limits.shared_bytes - shape.fixed_shared_bytes()) / shape.shared_bytes(1));
  params.group = problem.heads / problem.kv_heads;
  params.block_heads = std::min(params.group, columns);
  params.block_queries = columns / params.block_heads;
  params.inverse = params.group > params.block_heads ? 0 : (65535 + params.group) / params.group;

  CudaLaunch launch;
  const int32_t units = problem.kv_heads * ((params.group + params.block_heads - 1) / params.block_heads);
  const int64_t bytes = AttentionDecodeShape::counters * 4 + int64_t{counts.rows} * problem.heads * shape.part_bytes();
  const bool fits = int64_t{counts.rows} * units <= AttentionDecodeShape::counters && args.workspace != nullptr &&
                    bytes <= args.workspace_bytes;
  launch.grid = {static_cast<uint32_t>(by_cluster || fits ? shape.parts : 1), static_cast<uint32_t>(units),
                 static_cast<uint32_t>(counts.rows)};
  launch.threads = static_cast<uint32_t>(32 * shape.warps);
  launch.cluster = static_cast<uint32_t>(by_cluster ? shape.parts : 1);
  launch.shared_bytes = static_cast<uint32_t>(shape.shared_bytes(params.block_heads * params.block_queries));
  launch.early = true;
  launch.set_parameters(params);
  return launch;
}

/// Room for the parts of some rows. In a launch of more a block computes the parts one after the other.
size_t decode_attention_workspace(const Attention::Problem& problem, const KernelConfig& config, int32_t) {
  constexpr int64_t rows = 32;
  const AttentionDecodeShape shape{problem.head_dim, config.values[1], config.values[0]};
  const int64_t of_parts = shape.parts == 1 ? 0 : rows * problem.heads * shape.part_bytes();
  return static_cast<size_t>(AttentionDecodeShape::counters * 4 + round_up(of_parts, 64));
}

/// As many parts as the device has room for blocks: two a multiprocessor, of clusters one, as larger ones leave gaps.
/// With more rows tiles are better, which share keys among them.
template <bool by_cluster>
const KernelConfig* guess_decode_attention(const Attention::Problem& problem, int32_t rows) {
  constexpr int32_t most_rows = 64, blocks = by_cluster ? 132 : 264;
  const auto fits = [&](const KernelConfig& config) { return config.values[0] * rows * problem.kv_heads <= blocks; };
  if (by_cluster) return fits(decode_configs[0]) ? &decode_configs[0] : nullptr;
  if (rows > most_rows) return nullptr;
  const auto fitting = std::span(decode_configs).first(2);
  const auto found = std::ranges::find_if(fitting, fits);
  return found == fitting.end() ? &decode_configs[2] : &*found;
}

/// One row in as many parts as there are has 1,024 tokens loaded before the predecessor ends, and no turn behind them,
/// whose loads nothing hides in a step; among launches of its own kind the next one hides them (docs/benchmarks.md).
double share_of_decode_attention(const Attention::Problem&, const KernelConfig& config, int32_t rows) {
  return rows == 1 && config.values[0] == decode_configs[0].values[0] ? 0.8 : 1;
}

}  // namespace

Kernel<Attention> attention_decode_cuda() {
  Kernel<Attention> kernel = cuda_kernel<Attention>(
      "attention/cuda_decode", any_cuda, accepts_decode_attention,
      {"attention_decode.cu", defines_of_decode_attention<false>, launch_decode_attention<false>}, decode_configs);
  kernel.workspace_bytes = decode_attention_workspace;
  kernel.guess = guess_decode_attention<false>;
  kernel.share_in_step = share_of_decode_attention;
  return kernel;
}

Kernel<Attention> attention_decode_cluster_cuda() {
  Kernel<Attention> kernel =
      cuda_kernel<Attention>("attention/cuda_decode_cluster", hopper_cuda, accepts_decode_attention,
                             {"attention_decode.cu", defines_of_decode_attention<true>, launch_decode_attention<true>},
                             decode_cluster_configs);
  kernel.guess = guess_decode_attention<true>;
  return kernel;
}

}  // namespace incipit
