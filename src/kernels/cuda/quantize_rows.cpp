#include "base/enumeration.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/quantize_rows_params.h"
#include "kernels/cuda/row_team_launch.h"

namespace incipit {
namespace {

std::string defines_of_quantize_rows(const QuantizeRows::Problem& problem, const KernelConfig&) {
  return define("INPUT", name_of(problem.input)) + team_defines(problem.group_width());
}

CudaLaunch launch_quantize_rows(const QuantizeRows::Problem& problem, const QuantizeRows::Args& args,
                                const KernelConfig&, const LaunchCounts& counts, const CudaLimits&) {
  const bool aligned = (problem.groups == 1 || problem.group_width() % 4 == 0) &&
                       aligned_rows(args.input, args.input_stride, size_of(problem.input)) &&
                       aligned_rows(args.output, args.output_stride, sizeof(int8_t));
  CudaLaunch launch = team_launch(counts, problem.group_width(), problem.groups);
  launch.set_parameters(QuantizeRowsParams{{counts, problem.group_width(), problem.groups, aligned},
                                           args.input,
                                           args.input_stride,
                                           args.output,
                                           args.output_stride,
                                           padded_width(problem.width, args.output_stride, args.pad_output),
                                           args.scales,
                                           args.scale_stride});
  return launch;
}

}  // namespace

Kernel<QuantizeRows> quantize_rows_cuda() {
  const auto accepts = [](const QuantizeRows::Problem& p) {
    return makes_groups(p.groups, p.width) && is_float_row(p.input);
  };
  return cuda_kernel<QuantizeRows>("quantize_rows/cuda", any_cuda, accepts,
                                   {"quantize_rows.cu", defines_of_quantize_rows, launch_quantize_rows});
}

}  // namespace incipit
