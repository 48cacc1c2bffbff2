// Products of few rows as one of many short launches: linear_stream.cu.
#include <algorithm>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/linear_launch.h"
#include "kernels/cuda/linear_stream_params.h"

namespace incipit {
namespace {

// As linear_stream.cu has them.
constexpr int32_t stream_threads = 256, stream_piece_columns = 32, stream_rows = 8;

/// A row's elements are in the registers of a block, and two units are the least that a ring has: at 4,096 a product
/// takes 1.3 times what others take.
constexpr int32_t stream_most_k = 3072;

/// values: bytes of the ring. Two blocks a multiprocessor are faster among launches of the same kernel and slower in a
/// model, as the next launches have no room to begin.
constexpr KernelConfig stream_configs[] = {{"ring96", {96 * 1024}}, {"ring64", {64 * 1024}}};

/// Pieces of a row of k that a warp has, at most.
int32_t stream_pieces(const Linear::Problem& problem) {
  const int32_t at_once = stream_piece_columns * stream_threads / 32;
  return (problem.k + at_once - 1) / at_once;
}

/// Gate and up of an output, and what rotates together, lie eight packed rows apart.
int32_t stream_unit(const Linear::Problem& problem) {
  return is_gated(problem.activation) || problem.kv.any() ? 16 : 8;
}

int32_t stream_unit_bytes(const Linear::Problem& problem) {
  return stream_pieces(problem) * stream_unit(problem) / 8 * stream_threads * 16;
}
/// Of a unit, what the warps have of its sums.
int32_t stream_sums_bytes(const Linear::Problem& problem) {
  return stream_unit(problem) / 8 * stream_threads * static_cast<int32_t>(2 * sizeof(float));
}
/// Units of the ring.
int32_t stream_ring(const Linear::Problem& problem, const KernelConfig& config) {
  return std::max(config.values[0] / stream_unit_bytes(problem), 2);
}

bool accepts_stream(const Linear::Problem& problem) {
  return problem.format == WeightFormat::bf16 && problem.input == DType::bf16 && is_cuda_linear(problem) &&
         problem.k <= stream_most_k &&
         (!problem.norm.any || problem.k % 8 == 0);  // rows before a norm are taken eight columns at a time
}

std::string defines_of_stream(const Linear::Problem& problem, const KernelConfig& config) {
  return linear_defines(problem) + define("NORM", problem.norm.any ? 1 : 0) + define("UNIT", stream_unit(problem)) +
         define("OWN", stream_pieces(problem)) + define("EVEN", problem.k % (32 * 8) == 0 ? 1 : 0) +
         define("RING", stream_ring(problem, config));
}

CudaLaunch launch_stream(const Linear::Problem& problem, const Linear::Args& args, const KernelConfig& config,
                         const LaunchCounts& counts, const CudaLimits& limits) {
  LinearStreamParams params{};
  params.linear = linear_params(problem, args, counts);
  params.unnormed = args.unnormed;
  params.unnormed_stride = args.unnormed_stride;
  params.inverse_k = 1.0F / static_cast<float>(problem.k);
  params.epsilon = problem.norm.epsilon;
  INCIPIT_ASSERT(!problem.norm.any || aligned_rows(args.unnormed, args.unnormed_stride, sizeof(float)));
  const auto units = static_cast<int32_t>(blocks_of(params.linear.finish.packed_rows, stream_unit(problem)));
  const int32_t blocks = std::min(units, limits.multiprocessors);
  params.block_units = units / blocks;
  params.longer_blocks = units % blocks;
  CudaLaunch launch;
  launch.grid[0] = static_cast<uint32_t>(blocks);
  launch.threads = stream_threads;
  launch.early = true;
  // A ring that holds more than a block has takes no more memory: the next launch may begin beside.
  const int32_t most_units = params.block_units + (params.longer_blocks > 0 ? 1 : 0);
  params.ring_units = std::min(stream_ring(problem, config), most_units);
  launch.shared_bytes = static_cast<uint32_t>(params.ring_units * stream_unit_bytes(problem) +
                                              std::min(int32_t{stream_batch}, most_units) * stream_sums_bytes(problem));
  launch.set_parameters(params);
  return launch;
}

/// Where nothing is measured: what was, on an H200.
const KernelConfig* guess_stream(const Linear::Problem& problem, int32_t rows) {
  const bool is_short = 2 * stream_unit_bytes(problem) <= stream_configs[0].values[0];
  return rows <= stream_rows && is_short ? &stream_configs[0] : nullptr;
}

/// It leaves the launches beside it their room, which those of its own kind do not need (docs/benchmarks.md).
double share_of_stream(const Linear::Problem&, const KernelConfig&, int32_t) { return 0.9; }

}  // namespace

Kernel<Linear> linear_stream_cuda() {
  Kernel<Linear> kernel = cuda_linear("linear/cuda_stream", accepts_stream,
                                      {"linear_stream.cu", defines_of_stream, launch_stream}, stream_configs);
  kernel.needs = hopper_cuda;  // for its shared memory
  kernel.guess = guess_stream;
  kernel.normalizes = true;
  kernel.share_in_step = share_of_stream;
  return kernel;
}

}  // namespace incipit
