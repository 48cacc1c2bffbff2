#include "base/enumeration.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/describe.h"
#include "kernels/cuda/elementwise_params.h"
#include "kernels/cuda/row_launch.h"

namespace incipit {
namespace {

constexpr bool takes_two_rows(ElementwiseOp op) {
  return op == ElementwiseOp::add || op == ElementwiseOp::multiply || op == ElementwiseOp::gate;
}
constexpr bool takes_activation(ElementwiseOp op) { return op == ElementwiseOp::activate || op == ElementwiseOp::gate; }

std::string defines_of_elementwise(const Elementwise::Problem& problem, const KernelConfig&) {
  const DType second = takes_two_rows(problem.op) ? problem.second : DType::f32;
  const Activation activation = takes_activation(problem.op) ? problem.activation : Activation::none;
  return define("OPERATION", name_of(problem.op)) + define("ACTIVATION", name_of(activation)) +
         define("FIRST", name_of(problem.first)) + define("SECOND", name_of(second)) +
         define("OUTPUT", name_of(problem.output));
}

CudaLaunch launch_elementwise(const Elementwise::Problem& problem, const Elementwise::Args& args, const KernelConfig&,
                              const LaunchCounts& counts, const CudaLimits&) {
  const int64_t second_stride = problem.row_vector ? 0 : args.second_stride;
  const int32_t padded = padded_width(problem.width, args.output_stride, args.pad_output);
  const bool aligned =
      aligned_rows(args.first, args.first_stride, size_of(problem.first)) &&
      aligned_rows(args.output, args.output_stride, size_of(problem.output)) &&
      (!takes_two_rows(problem.op) || aligned_rows(args.second, second_stride, size_of(problem.second)));
  CudaLaunch launch = items_launch(counts.rows, (padded + 7) / 8);
  launch.set_parameters(ElementwiseParams{counts, args.first, args.first_stride, args.second, second_stride,
                                          args.output, args.output_stride, problem.width, padded, problem.factor,
                                          aligned});
  return launch;
}

}  // namespace

Kernel<Elementwise> elementwise_cuda() {
  const auto accepts = [](const Elementwise::Problem& p) {
    return p.width > 0 && is_float_row(p.first) && is_float_row(p.second) && is_float_row(p.output) &&
           !is_gated(p.activation) && (p.op != ElementwiseOp::soft_cap || p.factor > 0);
  };
  return cuda_kernel<Elementwise>("elementwise/cuda", any_cuda, accepts,
                                  {"elementwise.cu", defines_of_elementwise, launch_elementwise});
}

}  // namespace incipit
