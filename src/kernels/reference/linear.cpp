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

/// The product of a norm that the kernel makes.
void normed_reference(Linear::Problem problem, Linear::Args args, const WeightLayout& layout) {
  const int64_t stride = row_stride(problem.k);
  std::vector<std::byte> rows(static_cast<size_t>(args.rows * stride) * size_of(problem.input));
  RmsNorm::Problem norm{problem.k, problem.norm.epsilon};
  norm.output = problem.input;
  RmsNorm::Args norm_args{};
  norm_args.rows = args.rows;
  norm_args.input = args.unnormed;
  norm_args.input_stride = args.unnormed_stride;
  norm_args.output = rows.data();
  norm_args.output_stride = stride;
  RmsNorm::reference(norm, norm_args);
  problem.norm = {};
  args.input = rows.data();
  args.input_stride = stride;
  Linear::reference(problem, args, layout);
}

/// The outputs that are keys and values, as they are before they are rounded.
class KvRows {
 public:
  KvRows(const Linear::Problem& problem, int32_t rows)
      : first_(problem.output_width()), width_(2 * problem.kv.width()), values_(static_cast<size_t>(rows * width_)) {}

  float* at(int64_t row, int64_t column) {
    return column < first_ ? nullptr : values_.data() + row * width_ + column - first_;
  }
  void write(const KvOutputs& kv, const KvOutputs::Args& args) const {
    if (!kv.any()) return;
    KvWrite::Problem problem{kv.kv_heads, kv.head_dim,     kv.page_tokens, DType::f32,
                             kv.cache,    kv.rotary_pairs, kv.interleaved, kv.pages};
    const auto* keys = reinterpret_cast<const std::byte*>(values_.data());
    const auto* values = reinterpret_cast<const std::byte*>(values_.data() + kv.width());
    KvWrite::reference(
        problem, {args.sequences, args.spans, args.cache, keys, width_, values, width_, args.table, args.table_stride});
  }

 private:
  int64_t first_, width_;
  std::vector<float> values_;
};

}  // namespace

void Linear::reference(const Problem& problem, const Args& args, const WeightLayout& layout) {
  if (problem.norm.any && args.unnormed != nullptr) return normed_reference(problem, args, layout);
  if (problem.quantizes()) return quantized_reference(problem, args, layout);
  const bool has_gate = is_gated(problem.activation);
  const int64_t width = problem.output_width();
  const WeightReader weight(layout, problem.weight(), args.weight);
  // Each number is read once: reading one takes longer than multiplying it.
  std::vector<double> codes(static_cast<size_t>(problem.k)), inputs(static_cast<size_t>(args.rows * problem.k));
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t k = 0; k < problem.k; ++k) {
      inputs[static_cast<size_t>(row * problem.k + k)] =
          load_element(problem.input, args.input, row * args.input_stride + k);
    }
  }
  const auto sum_outputs = [&](int64_t output, std::vector<double>& sums) {
    const WeightReader::Row of_output = weight.row(output);
    of_output.read_codes(codes);
    for (int64_t row = 0; row < args.rows; ++row) {
      const double product = sum_of_blocks(
          problem.format, problem.k, [&](int64_t k) { return inputs[static_cast<size_t>(row * problem.k + k)]; },
          [&](int64_t k) { return codes[static_cast<size_t>(k)]; },
          [&](int64_t block) { return of_output.scale(block); });
      const double scale = problem.format.multiplies_codes() ? args.input_scales[row] : 1.0f;
      sums[static_cast<size_t>(row)] = product * scale + (problem.bias ? of_output.output_value(args.bias) : 0.0f);
    }
  };
  std::vector<double> sums(static_cast<size_t>(args.rows)), up(sums);
  KvRows kv(problem, args.rows);
  for (int64_t column = 0; column < width + 2 * problem.kv.width(); ++column) {
    sum_outputs(column, sums);
    if (has_gate) sum_outputs(width + column, up);
    for (int64_t row = 0; row < args.rows; ++row) {
      const double first = sums[static_cast<size_t>(row)];
      double value = has_gate ? gated(problem.activation, first, up[static_cast<size_t>(row)])
                              : activate(problem.activation, first);
      if (problem.residual) value += args.residual[row * args.residual_stride + column];
      if (float* const kept = kv.at(row, column)) {
        *kept = static_cast<float>(value);
      } else {
        store_element(problem.output, args.output, row * args.output_stride + column, static_cast<float>(value));
      }
    }
  }
  kv.write(problem.kv, args.kv);
  for (int64_t row = 0; args.pad_output && row < args.rows; ++row) {
    pad_row(args.output, row, width, args.output_stride, size_of(problem.output));
  }
}

}  // namespace incipit
