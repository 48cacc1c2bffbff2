#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/describe.h"
#include "kernels/cuda/row_launch.h"
#include "kernels/cuda/weighted_sum_params.h"

namespace incipit {
namespace {

std::string defines_of_weighted_sum(const WeightedSum::Problem& problem, const KernelConfig&) {
  return define("RESIDUAL", problem.residual ? 1 : 0);
}

CudaLaunch launch_weighted_sum(const WeightedSum::Problem& problem, const WeightedSum::Args& args, const KernelConfig&,
                               const LaunchCounts& counts, const CudaLimits&) {
  const int32_t padded = padded_width(problem.width, args.output_stride, args.pad_output);
  const bool aligned = problem.width % 4 == 0 && aligned_rows(args.input, args.input_stride, sizeof(float)) &&
                       aligned_rows(args.output, args.output_stride, sizeof(float)) &&
                       (!problem.residual || aligned_rows(args.residual, args.residual_stride, sizeof(float)));
  CudaLaunch launch = items_launch(counts.rows, (padded + 3) / 4);
  launch.set_parameters(WeightedSumParams{counts, args.input, args.input_stride, args.weight, args.weight_stride,
                                          args.residual, args.residual_stride, args.output, args.output_stride,
                                          problem.width, padded, problem.slots, aligned});
  return launch;
}

}  // namespace

Kernel<WeightedSum> weighted_sum_cuda() {
  const auto accepts = [](const WeightedSum::Problem& p) { return p.width > 0 && p.slots > 0; };
  return cuda_kernel<WeightedSum>("weighted_sum/cuda", any_cuda, accepts,
                                  {"weighted_sum.cu", defines_of_weighted_sum, launch_weighted_sum});
}

}  // namespace incipit
