#include <algorithm>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/describe.h"
#include "kernels/cuda/gather_rows_params.h"

namespace incipit {
namespace {

std::string defines_of_gather(const GatherRows::Problem& problem, const KernelConfig&) {
  return define("ELEMENT", unsigned_of(problem.dtype));
}

CudaLaunch launch_gather(const GatherRows::Problem& problem, const GatherRows::Args& args, const KernelConfig&,
                         const LaunchCounts& counts, const CudaLimits&) {
  CudaLaunch launch;
  launch.grid[0] = static_cast<uint32_t>(counts.rows);
  launch.threads = 256;
  launch.set_parameters(GatherRowsParams{counts, args.index, args.input, args.input_stride, args.output,
                                         args.output_stride, problem.width,
                                         padded_width(problem.width, args.output_stride, args.pad_output)});
  return launch;
}

}  // namespace

Kernel<GatherRows> gather_rows_cuda() {
  const auto accepts = [](const GatherRows::Problem& problem) { return problem.width > 0; };
  return cuda_kernel<GatherRows>("gather_rows/cuda", any_cuda, accepts,
                                 {"gather_rows.cu", defines_of_gather, launch_gather});
}

}  // namespace incipit
