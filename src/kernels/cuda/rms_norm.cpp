#include "base/enumeration.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/rms_norm_params.h"
#include "kernels/cuda/row_team_launch.h"

namespace incipit {
namespace {

std::string defines_of_rms_norm(const RmsNorm::Problem& problem, const KernelConfig&) {
  return define("OUTPUT", name_of(problem.output)) + define("GAIN", problem.gain ? 1 : 0) +
         define("ADD", problem.add ? 1 : 0) + team_defines(problem.group_width());
}

CudaLaunch launch_rms_norm(const RmsNorm::Problem& problem, const RmsNorm::Args& args, const KernelConfig&,
                           const LaunchCounts& counts, const CudaLimits& limits) {
  constexpr size_t f32 = sizeof(float);
  const int32_t width = problem.width;
  const bool aligned =
      (problem.groups == 1 || problem.group_width() % 4 == 0) && aligned_rows(args.input, args.input_stride, f32) &&
      aligned_rows(args.output, args.output_stride, size_of(problem.output)) &&
      (!problem.gain || aligned_rows(args.gain, 0, f32)) &&
      (!problem.add ||
       (aligned_rows(args.addend, args.addend_stride, f32) && aligned_rows(args.sum, args.sum_stride, f32)));
  // As many as are there at a time.
  const auto threads = static_cast<uint32_t>(limits.multiprocessors) * 1024;
  CudaLaunch launch = team_launch(counts, problem.group_width(), problem.groups, threads);
  launch.set_parameters(RmsNormParams{{counts, problem.group_width(), problem.groups, aligned},
                                      args.input,
                                      args.input_stride,
                                      args.addend,
                                      args.addend_stride,
                                      args.gain,
                                      args.sum,
                                      args.sum_stride,
                                      padded_width(width, args.sum_stride, args.pad_output),
                                      args.output,
                                      args.output_stride,
                                      padded_width(width, args.output_stride, args.pad_output),
                                      args.output_scales,
                                      problem.epsilon});
  return launch;
}

}  // namespace

Kernel<RmsNorm> rms_norm_cuda() {
  const auto accepts = [](const RmsNorm::Problem& p) {
    return makes_groups(p.groups, p.width) && (is_float_row(p.output) || p.output == DType::i8) &&
           (p.groups == 1 || (!p.add && p.output != DType::i8));
  };
  return cuda_kernel<RmsNorm>("rms_norm/cuda", any_cuda, accepts,
                              {"rms_norm.cu", defines_of_rms_norm, launch_rms_norm});
}

}  // namespace incipit
