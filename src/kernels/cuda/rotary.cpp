#include "base/enumeration.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/describe.h"
#include "kernels/cuda/rotary_params.h"
#include "kernels/cuda/rotary_table_params.h"
#include "kernels/cuda/rotation_items.h"
#include "kernels/cuda/row_launch.h"

namespace incipit {
namespace {

std::string defines_of_rotary_table(const RotaryTable::Problem&, const KernelConfig&) { return {}; }

CudaLaunch launch_rotary_table(const RotaryTable::Problem& problem, const RotaryTable::Args& args, const KernelConfig&,
                               const LaunchCounts& counts, const CudaLimits&) {
  CudaLaunch launch = items_launch(counts.rows, problem.pairs);
  launch.set_parameters(RotaryTableParams{counts, args.positions, args.inverse_frequencies, args.output,
                                          args.output_stride, problem.pairs, problem.factor, problem.growth,
                                          problem.growth_length});
  return launch;
}

std::string defines_of_rotary(const Rotary::Problem& problem, const KernelConfig&) {
  return define("INPUT", name_of(problem.input)) + define("OUTPUT", name_of(problem.output)) +
         define("INTERLEAVED", problem.interleaved ? 1 : 0) +
         define("ITEM_PAIRS", rotation_pairs(problem.head_dim, problem.pairs));
}

CudaLaunch launch_rotary(const Rotary::Problem& problem, const Rotary::Args& args, const KernelConfig&,
                         const LaunchCounts& counts, const CudaLimits&) {
  const int32_t width = problem.heads * problem.head_dim;
  const bool aligned = has_whole_items(problem.head_dim, problem.pairs) &&
                       aligned_rows(args.input, args.input_stride, size_of(problem.input)) &&
                       aligned_rows(args.table, args.table_stride, sizeof(float)) &&
                       aligned_rows(args.output, args.output_stride, size_of(problem.output));
  const int32_t items =
      rotation_items(problem.head_dim, problem.pairs, rotation_pairs(problem.head_dim, problem.pairs));
  CudaLaunch launch = items_launch(counts.rows, problem.heads * items);
  launch.set_parameters(RotaryParams{counts, args.input, args.input_stride, args.table, args.table_stride, args.output,
                                     args.output_stride, problem.heads, problem.head_dim, problem.pairs,
                                     padded_width(width, args.output_stride, args.pad_output), aligned});
  return launch;
}

}  // namespace

Kernel<RotaryTable> rotary_table_cuda() {
  const auto accepts = [](const RotaryTable::Problem& p) { return p.pairs > 0 && p.growth_length > 0; };
  return cuda_kernel<RotaryTable>("rotary_table/cuda", any_cuda, accepts,
                                  {"rotary_table.cu", defines_of_rotary_table, launch_rotary_table});
}

Kernel<Rotary> rotary_cuda() {
  const auto accepts = [](const Rotary::Problem& p) {
    return p.heads > 0 && p.pairs > 0 && 2 * p.pairs <= p.head_dim && is_float_row(p.input) && is_float_row(p.output);
  };
  return cuda_kernel<Rotary>("rotary/cuda", any_cuda, accepts, {"rotary.cu", defines_of_rotary, launch_rotary});
}

}  // namespace incipit
