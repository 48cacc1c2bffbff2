#include <vector>

#include "base/norm.h"
#include "kernels/families.h"
#include "kernels/reference/elements.h"

namespace incipit {
namespace {

/// Each group is a row of its own.
void layer_norm_groups(const LayerNorm::Problem& problem, const LayerNorm::Args& args) {
  LayerNorm::Problem one = problem;
  one.width = problem.group_width();
  one.groups = 1;
  for (int64_t group = 0; group < problem.groups; ++group) {
    LayerNorm::Args part = args;
    part.input += group * one.width;
    if (problem.gain) part.gain += group * one.width;
    if (problem.bias) part.bias += group * one.width;
    part.output += static_cast<size_t>(group * one.width) * size_of(problem.output);
    part.pad_output = false;
    LayerNorm::reference(one, part);
  }
  for (int64_t row = 0; row < args.rows && args.pad_output; ++row) {
    pad_row(args.output, row, problem.width, args.output_stride, size_of(problem.output));
  }
}

}  // namespace

void LayerNorm::reference(const Problem& problem, const Args& args) {
  if (problem.groups > 1) return layer_norm_groups(problem, args);
  std::vector<float> normed(static_cast<size_t>(problem.width));
  for (int64_t row = 0; row < args.rows; ++row) {
    const std::span<const float> x(args.input + row * args.input_stride, normed.size());
    const RowNorm norm = layer_norm_of(x, problem.epsilon);
    for (size_t i = 0; i < normed.size(); ++i) {
      const double gain = problem.gain ? args.gain[i] : 1.0f;
      const double bias = problem.bias ? args.bias[i] : 0.0f;
      normed[i] = static_cast<float>(norm(x[i]) * gain + bias);
    }
    const float scale = store_row(problem.output, args.output, row * args.output_stride, normed);
    if (problem.output == DType::i8) args.output_scales[row] = scale;
    if (args.pad_output) pad_row(args.output, row, problem.width, args.output_stride, size_of(problem.output));
  }
}

}  // namespace incipit
