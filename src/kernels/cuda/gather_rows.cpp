#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/describe.h"
#include "kernels/cuda/gather_rows_params.h"
#include "kernels/cuda/row_launch.h"

namespace incipit {
namespace {

std::string defines_of_gather(const GatherRows::Problem& problem, const KernelConfig&) {
  return define("ELEMENT", unsigned_of(problem.dtype));
}

CudaLaunch launch_gather(const GatherRows::Problem& problem, const GatherRows::Args& args, const KernelConfig&,
                         const LaunchCounts& counts, const CudaLimits&) {
  const size_t element = size_of(problem.dtype);
  const int32_t padded = padded_width(problem.width, args.output_stride, args.pad_output);
  const bool aligned =
      aligned_rows(args.input, args.input_stride, element) && aligned_rows(args.output, args.output_stride, element);
  const int64_t pieces = (padded * static_cast<int64_t>(element) + gather_bytes - 1) / gather_bytes;
  CudaLaunch launch = items_launch(counts.rows, pieces);
  launch.set_parameters(GatherRowsParams{counts, args.index, args.input, args.input_stride, args.output,
                                         args.output_stride, problem.width, padded, aligned});
  return launch;
}

}  // namespace

Kernel<GatherRows> gather_rows_cuda() {
  const auto accepts = [](const GatherRows::Problem& problem) { return problem.width > 0; };
  return cuda_kernel<GatherRows>("gather_rows/cuda", any_cuda, accepts,
                                 {"gather_rows.cu", defines_of_gather, launch_gather});
}

}  // namespace incipit
