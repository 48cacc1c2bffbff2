#include <cmath>
#include <vector>

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
  std::vector<float> values(static_cast<size_t>(problem.width));
  for (int64_t row = 0; row < args.rows; ++row) {
    const float* x = args.input + row * args.input_stride;
    double mean = 0, variance = 0;
    for (int64_t column = 0; column < problem.width; ++column) mean += x[column];
    mean /= problem.width;
    for (int64_t column = 0; column < problem.width; ++column) variance += (x[column] - mean) * (x[column] - mean);
    variance /= problem.width;
    const double factor = 1.0 / std::sqrt(variance + static_cast<double>(problem.epsilon));
    const auto normed = [&](int64_t column) {
      const double gain = problem.gain ? args.gain[column] : 1.0f;
      const double bias = problem.bias ? args.bias[column] : 0.0f;
      return static_cast<float>((x[column] - mean) * factor * gain + bias);
    };
    for (int64_t column = 0; column < problem.width; ++column) values[static_cast<size_t>(column)] = normed(column);
    const float scale = store_row(problem.output, args.output, row * args.output_stride, values);
    if (problem.output == DType::i8) args.output_scales[row] = scale;
    if (args.pad_output) pad_row(args.output, row, problem.width, args.output_stride, size_of(problem.output));
  }
}

}  // namespace incipit
