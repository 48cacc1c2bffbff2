#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/linear_launch.h"

namespace incipit {
namespace {

/// {rows, packed rows} of a block.
constexpr KernelConfig generic_linear_configs[] = {{"rows128_packed64", {128, 64}}, {"rows64_packed64", {64, 64}}};

std::string defines_of_generic(const Linear::Problem& problem, const KernelConfig& config) {
  return linear_defines(problem) + define("TILE_ROWS", config.values[0]) + define("TILE_PACKED", config.values[1]);
}

CudaLaunch launch_generic(const Linear::Problem& problem, const Linear::Args& args, const KernelConfig& config,
                          const LaunchCounts& counts, const CudaLimits&) {
  const LinearParams params = linear_params(problem, args, counts);
  CudaLaunch launch;
  launch.grid = {blocks_of(counts.rows, config.values[0]), blocks_of(params.finish.packed_rows, config.values[1]), 1};
  launch.threads = 256;
  launch.early = true;
  if (has_four_bit_groups(problem)) {
    launch.set_parameters(LinearGroupsParams{params, weight_groups(problem, args.weight)});
  } else {
    launch.set_parameters(params);
  }
  return launch;
}

}  // namespace

Kernel<Linear> linear_generic_cuda() {
  return cuda_linear("linear/cuda_generic", is_cuda_linear, {"linear_generic.cu", defines_of_generic, launch_generic},
                     generic_linear_configs);
}

}  // namespace incipit
