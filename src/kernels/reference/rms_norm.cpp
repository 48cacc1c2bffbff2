#include <algorithm>
#include <vector>

#include "base/norm.h"
#include "kernels/families.h"
#include "kernels/reference/elements.h"

namespace incipit {

namespace {

/// With groups each is a row of its own: of group_width() columns, the rows of one group as far apart as before.
void norm_groups(const RmsNorm::Problem& problem, const RmsNorm::Args& args) {
  RmsNorm::Problem one = problem;
  one.width = problem.group_width();
  one.groups = 1;
  for (int64_t group = 0; group < problem.groups; ++group) {
    RmsNorm::Args part = args;
    part.input += group * one.width;
    part.output += static_cast<size_t>(group * one.width) * size_of(problem.output);
    part.pad_output = false;
    RmsNorm::reference(one, part);
  }
  for (int64_t row = 0; row < args.rows && args.pad_output; ++row) {
    pad_row(args.output, row, problem.width, args.output_stride, size_of(problem.output));
  }
}

}  // namespace

void RmsNorm::reference(const Problem& problem, const Args& args) {
  if (problem.groups > 1) return norm_groups(problem, args);
  std::vector<float> sums(static_cast<size_t>(problem.width)), normed(sums.size());
  for (int64_t row = 0; row < args.rows; ++row) {
    // The sum is rounded to float before anything else, as it is what the residual stream carries on.
    for (size_t i = 0; i < sums.size(); ++i) {
      const auto column = static_cast<int64_t>(i);
      const float x = args.input[row * args.input_stride + column];
      sums[i] = problem.add ? x + args.addend[row * args.addend_stride + column] : x;
    }
    const RowNorm norm = rms_norm_of<float>(sums, problem.epsilon);
    for (size_t i = 0; i < sums.size(); ++i) {
      const double gain = problem.gain ? args.gain[i] : 1.0f;
      normed[i] = static_cast<float>(norm(sums[i]) * gain);
    }
    const float scale = store_row(problem.output, args.output, row * args.output_stride, normed);
    if (problem.output == DType::i8) args.output_scales[row] = scale;
    if (problem.add) std::copy(sums.begin(), sums.end(), args.sum + row * args.sum_stride);
    if (args.pad_output) pad_row(args.output, row, problem.width, args.output_stride, size_of(problem.output));
    if (args.pad_output && problem.add) {
      pad_row(reinterpret_cast<std::byte*>(args.sum), row, problem.width, args.sum_stride, sizeof(float));
    }
  }
}

}  // namespace incipit
