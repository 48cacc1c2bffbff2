#include <vector>

#include "base/error.h"
#include "kernels/families.h"
#include "kernels/packing.h"
#include "kernels/reference/elements.h"

namespace incipit {
namespace {

/// Σ_k in[row, k] · W[packed row, k], scaled when i8.
double product(const Linear::Problem& problem, const Linear::Args& args, int64_t row, int64_t packed_row) {
  const int64_t padded_k = round_up(problem.k, 64);
  const auto weight = [&](int64_t input) {
    return args.weight.panels + packed_offset(problem.format, padded_k, packed_row, input);
  };
  if (problem.format == WeightFormat::i8) {
    const auto* input = reinterpret_cast<const int8_t*>(args.input) + row * args.input_stride;
    int32_t sum = 0;
    for (int64_t k = 0; k < problem.k; ++k) sum += input[k] * static_cast<int8_t>(*weight(k));
    return static_cast<double>(sum) * args.input_scales[row] * args.weight.scales[packed_row];
  }
  double sum = 0;
  for (int64_t k = 0; k < problem.k; ++k) {
    const double x = load_element(problem.input, args.input, row * args.input_stride + k);
    sum += x * load_element(element_dtype(problem.format), weight(k), 0);
  }
  return sum;
}

/// The product of rows that the kernel quantises.
void quantized_reference(Linear::Problem problem, Linear::Args args) {
  const int64_t stride = row_stride(problem.k);
  std::vector<int8_t> codes(static_cast<size_t>(args.rows * stride));
  std::vector<float> scales(static_cast<size_t>(args.rows));
  QuantizeRows::reference({problem.k, problem.input},
                          {args.rows, args.input, args.input_stride, codes.data(), stride, scales.data()});
  problem.input = DType::i8;
  args.input = reinterpret_cast<const std::byte*>(codes.data());
  args.input_stride = stride;
  args.input_scales = scales.data();
  Linear::reference(problem, args);
}

}  // namespace

void Linear::reference(const Problem& problem, const Args& args) {
  if (problem.quantizes()) return quantized_reference(problem, args);
  const bool gated = is_gated(problem.activation);
  const int64_t width = problem.output_width();
  const PanelOrder order{problem.n, gated};
  const auto sum = [&](int64_t row, int64_t source_row) {
    const int64_t packed_row = order.packed_row(source_row);
    return product(problem, args, row, packed_row) + (problem.bias ? args.bias[packed_row] : 0.0f);
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
