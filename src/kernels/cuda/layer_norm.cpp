#include "base/enumeration.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/layer_norm_params.h"
#include "kernels/cuda/row_team_launch.h"

namespace incipit {
namespace {

std::string defines_of_layer_norm(const LayerNorm::Problem& problem, const KernelConfig&) {
  return define("OUTPUT", name_of(problem.output)) + define("GAIN", problem.gain ? 1 : 0) +
         define("BIAS", problem.bias ? 1 : 0) + team_defines(problem.group_width());
}

CudaLaunch launch_layer_norm(const LayerNorm::Problem& problem, const LayerNorm::Args& args, const KernelConfig&,
                             const LaunchCounts& counts, const CudaLimits&) {
  constexpr size_t f32 = sizeof(float);
  const bool aligned =
      (problem.groups == 1 || problem.group_width() % 4 == 0) && aligned_rows(args.input, args.input_stride, f32) &&
      aligned_rows(args.output, args.output_stride, size_of(problem.output)) &&
      (!problem.gain || aligned_rows(args.gain, 0, f32)) && (!problem.bias || aligned_rows(args.bias, 0, f32));
  CudaLaunch launch = team_launch(counts, problem.group_width(), problem.groups);
  launch.set_parameters(LayerNormParams{{counts, problem.group_width(), problem.groups, aligned},
                                        args.input,
                                        args.input_stride,
                                        args.gain,
                                        args.bias,
                                        args.output,
                                        args.output_stride,
                                        padded_width(problem.width, args.output_stride, args.pad_output),
                                        args.output_scales,
                                        problem.epsilon});
  return launch;
}

}  // namespace

Kernel<LayerNorm> layer_norm_cuda() {
  const auto accepts = [](const LayerNorm::Problem& p) {
    return makes_groups(p.groups, p.width) && (is_float_row(p.output) || (p.output == DType::i8 && p.groups == 1));
  };
  return cuda_kernel<LayerNorm>("layer_norm/cuda", any_cuda, accepts,
                                {"layer_norm.cu", defines_of_layer_norm, launch_layer_norm});
}

}  // namespace incipit
