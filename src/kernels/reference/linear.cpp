#include <vector>

#include "base/error.h"
#include "kernels/families.h"
#include "kernels/packing.h"
#include "kernels/reference/elements.h"

namespace incipit {
namespace {

/// The product of rows that the kernel quantises.
void quantized_reference(Linear::Problem problem, Linear::Args args, const WeightLayout& layout) {
  const int64_t stride = row_stride(problem.k);
  std::vector<int8_t> codes(static_cast<size_t>(args.rows * stride));
  std::vector<float> scales(static_cast<size_t>(args.rows));
  QuantizeRows::reference({problem.k, problem.input},
                          {args.rows, args.input, args.input_stride, codes.data(), stride, scales.data()});
  problem.input = DType::i8;
  args.input = reinterpret_cast<const std::byte*>(codes.data());
  args.input_stride = stride;
  args.input_scales = scales.data();
  Linear::reference(problem, args, layout);
}

}  // namespace

void Linear::reference(const Problem& problem, const Args& args, const WeightLayout& layout) {
  if (problem.quantizes()) return quantized_reference(problem, args, layout);
  const bool gated = is_gated(problem.activation);
  const int64_t width = problem.output_width();
  const WeightReader weight(layout, problem.weight(), args.weight);
  const auto sum = [&](int64_t row, int64_t output) {
    const WeightReader::Row of_output = weight.row(output);
    const double product = sum_of_blocks(
        problem.format, problem.k,
        [&](int64_t k) { return load_element(problem.input, args.input, row * args.input_stride + k); },
        [&](int64_t k) { return of_output.code(k); }, [&](int64_t block) { return of_output.scale(block); });
    const double scale = problem.format.multiplies_codes() ? args.input_scales[row] : 1.0f;
    return product * scale + (problem.bias ? of_output.output_value(args.bias) : 0.0f);
  };
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t column = 0; column < width; ++column) {
      double value = activate(problem.activation, sum(row, column));
      if (gated) value *= sum(row, width + column);
      if (problem.residual) value += args.residual[row * args.residual_stride + column];
      store_element(problem.output, args.output, row * args.output_stride + column, static_cast<float>(value));
    }
    if (args.pad_output) pad_row(args.output, row, width, args.output_stride, size_of(problem.output));
  }
}

}  // namespace incipit
