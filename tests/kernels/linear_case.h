// Random products: weights packed from random rows, tolerances from the magnitudes summed.
#pragma once

#include "kernel_case.h"
#include "kernels/families.h"
#include "kernels/packing.h"
#include "support/packed_weight.h"

namespace incipit {

/// A random weight [n, k], packed, and as floats.
class RandomWeight {
 public:
  RandomWeight(const WeightShape& weight, std::mt19937_64& random, const WeightLayout& layout = panel16)
      : order_(layout, weight.n, weight.pairs), rows_(static_cast<size_t>(weight.n * weight.k)) {
    const WeightFormat& format = weight.format;
    const int64_t block_rows = format.blocks_of_n(weight.n), block_columns = format.blocks_of_k(weight.k);
    const int64_t n_of_block = format.block_n == 0 ? weight.n : format.block_n;
    std::uniform_real_distribution<float> real(-1, 1);
    Rows scales = Rows::view(format.scales.value_or(DType::f32), static_cast<int32_t>(block_rows), block_columns,
                             block_columns, 0);
    Rows zero_points = Rows::view(format.zero_points.value_or(DType::i8), static_cast<int32_t>(block_rows),
                                  block_columns, block_columns, 0);
    for (int32_t row = 0; row < scales.rows; ++row) {
      for (int64_t column = 0; column < block_columns; ++column) {
        scales.set(row, column, format.scales ? 0.001f * (1.5f + real(random)) : 1);
        zero_points.set(row, column, format.zero_points ? std::nearbyint(100 * std::abs(real(random))) : 0);
      }
    }
    Rows codes = Rows::view(format.codes, static_cast<int32_t>(weight.n), weight.k, weight.k, 0);
    std::uniform_int_distribution<int> code(format.codes == DType::u8 ? 0 : -127,
                                            format.codes == DType::u8 ? 255 : 127);
    const bool is_real = size_of(format.codes) > 1;
    for (int32_t row = 0; row < codes.rows; ++row) {
      for (int64_t i = 0; i < weight.k; ++i) {
        codes.set(row, i, is_real ? real(random) : static_cast<float>(code(random)));
        const auto block = static_cast<int32_t>(row / n_of_block);
        const int64_t column = i / format.inputs_a_block(weight.k);
        rows_[static_cast<size_t>(row * weight.k + i)] =
            (codes.get(row, i) - zero_points.get(block, column)) * scales.get(block, column);
      }
    }
    const WeightPacker packer(layout, weight);
    codes_ = GuardedBytes(static_cast<size_t>(packer.shape().bytes()));
    code_sums_ = pack_codes(layout, weight, codes.data(), codes_.data());
    const auto bytes = [](Rows& rows) {
      return std::span<const std::byte>(rows.data(), static_cast<size_t>(rows.rows * rows.width) * size_of(rows.dtype));
    };
    if (format.scales) scales_ = packer.pack_plane(PlaneRole::scales, *format.scales, bytes(scales));
    if (format.zero_points) {
      zero_points_ = packer.pack_plane(PlaneRole::zero_points, *format.zero_points, bytes(zero_points));
    }
  }

  PackedWeight packed() { return {codes_.data(), scales_.data(), code_sums_.data(), zero_points_.data()}; }
  const OutputOrder& order() const { return order_; }
  const std::vector<float>& rows() const { return rows_; }  // [n, k]

 private:
  OutputOrder order_;
  std::vector<float> rows_;
  GuardedBytes codes_;
  std::vector<int32_t> code_sums_;
  std::vector<std::byte> scales_, zero_points_;
};

inline constexpr std::pair<WeightFormat, DType> linear_formats[] = {{WeightFormat::f32, DType::f32},
                                                                    {WeightFormat::bf16, DType::bf16},
                                                                    {WeightFormat::f16, DType::f32},
                                                                    {WeightFormat::i8, DType::i8}};

/// A product quantises its own rows too.
inline constexpr std::pair<WeightFormat, DType> linear_inputs[] = {linear_formats[0],
                                                                   linear_formats[1],
                                                                   linear_formats[2],
                                                                   linear_formats[3],
                                                                   {WeightFormat::i8, DType::f32},
                                                                   {WeightFormat::i8, DType::bf16}};

struct BoundedSum {
  double value, error;
};

/// Σ scale·input(k)·w[k] + bias with the error of any order of f32 sums: (k + 8)·u·Σ|in·w|; an i8 sum is exact and
/// rounds a few times as it becomes a float. bf16 units flush denormal products: k·2^-126 more.
template <typename Input>
BoundedSum bound_product(DType dtype, int64_t count, double scale, Input input, const float* w, double bias) {
  double value = 0, magnitude = 0;
  for (int64_t k = 0; k < count; ++k) {
    const double product = scale * input(k) * w[k];
    value += product;
    magnitude += std::abs(product);
  }
  const double terms = dtype == DType::i8 ? 8 : static_cast<double>(count) + 8;
  const double summed = dtype == DType::i8 ? std::abs(value) : magnitude;
  return {value + bias, terms * half_ulp_f32 * (summed + std::abs(bias)) + static_cast<double>(count) * 0x1p-126};
}

/// What may lie between a product's output and the reference's, `expected`. `up` gives the second sum when gated.
template <typename Up>
double bound_output(Activation activation, DType output, BoundedSum value, Up up, double residual, double expected) {
  const double u = half_ulp_f32;
  if (activation == Activation::sigmoid) {
    value = {1, 0.25 * value.error + 8 * u};
  } else if (activation != Activation::none) {
    // The activations' slopes stay below 1.2 and their own errors, some units in the last place of the factors of
    // x, below 16·u·|x|; |activation(x)| <= |x|.
    value.error = 1.2 * value.error + 16 * u * std::abs(value.value);
    value.value = std::abs(value.value);
  }
  if (is_gated(activation)) {
    BoundedSum factor = up();
    if (activation == Activation::clamped_silu_gate) {
      factor = {std::abs(factor.value) + 1, factor.error + u * (std::abs(factor.value) + 1)};
    }
    value.error = value.error * std::abs(factor.value) + std::abs(value.value) * factor.error +
                  value.error * factor.error + u * std::abs(value.value * factor.value);
    value.value = std::abs(value.value * factor.value);
  }
  const double magnitude = std::abs(value.value) + residual;
  // Both sides round to the output: half an ulp each, of the result or of what the error makes of it.
  return value.error + u * magnitude + 2 * unit_roundoff(output) * (std::abs(expected) + value.error + u * magnitude);
}

template <>
class KernelCase<Linear> {
 public:
  static std::vector<Linear::Problem> test_problems() {
    std::vector<Linear::Problem> problems;
    using A = Activation;
    for (const auto& [format, input] : linear_inputs) {
      const auto add = [&, f = format, i = input](int32_t n, int32_t k, DType output, bool bias, bool residual, A a) {
        problems.push_back({n, k, f, i, output, bias, residual, a});
      };
      add(16, 64, DType::f32, false, false, A::none);
      add(1, 1, DType::f32, false, true, A::none);
      add(37, 100, DType::f32, true, true, A::none);
      add(150, 203, DType::bf16, true, false, A::silu);
      add(128, 256, DType::f32, false, true, A::gelu_erf);
      add(48, 130, DType::bf16, true, true, A::gelu_tanh);
      add(33, 65, DType::f32, true, false, A::relu);
      add(2 * 40, 129, DType::bf16, false, false, A::silu_gate);
      add(2 * 64, 64, DType::f32, true, true, A::gelu_tanh_gate);
      add(2 * 17, 192, DType::f32, true, false, A::gelu_erf_gate);
      add(1, 80, DType::f32, true, false, A::sigmoid);
      add(2 * 24, 96, DType::bf16, true, false, A::clamped_silu_gate);
    }
    return problems;
  }
  static std::vector<int32_t> test_rows() { return standard_rows(); }

  static std::vector<BenchStep<Linear>> bench_steps() {
    std::vector<BenchStep<Linear>> steps;
    for (const auto& [format, input] : linear_inputs) {
      const DType narrow = input == DType::bf16 ? DType::bf16 : DType::f32;
      // llama-0.5b: the merged gate and up, the down product, and the head, which is larger than caches.
      const Linear::Problem gate_up{5632, 1024, format, input, narrow, false, false, Activation::silu_gate};
      const Linear::Problem down{1024, 2816, format, input, DType::f32, false, true, Activation::none};
      const Linear::Problem head{32000, 1024, format, input, DType::f32, false, false, Activation::none};
      const auto add = [&](const Linear::Problem& problem, int32_t rows) {
        const double weights = static_cast<double>(problem.n) * problem.k;
        steps.push_back(
            {problem, rows, 2.0 * rows * weights, weights * static_cast<double>(size_of(problem.format.codes))});
      };
      for (const int32_t rows : {1, 8, 128, 1024}) {
        if (!down.quantizes()) add(gate_up, rows);
        add(down, rows);
      }
      if (down.quantizes()) continue;
      for (const int32_t rows : {1, 8}) add(head, rows);
    }
    return steps;
  }

  KernelCase(const Linear::Problem& problem, int32_t rows, uint64_t seed, const WeightLayout& layout = panel16)
      : problem_(problem),
        layout_(layout),
        random_(seed),
        weight_(problem.weight(), random_, layout),
        input_(Rows::whole(problem.input, rows, problem.k)) {
    const int64_t width = problem.output_width();
    // By turns a whole buffer, a column view, and a residual that is the output itself.
    const bool view = seed % 3 == 1;
    in_place_ = problem.residual && problem.output == DType::f32 && seed % 3 == 2;
    output_ = view ? Rows::view(problem.output, rows, width, row_stride(width + 70), 32)
                   : Rows::whole(problem.output, rows, width);
    input_.fill_random(random_);
    std::uniform_real_distribution<float> real(-1, 1);
    for (int32_t r = 0; r < rows; ++r) input_scales_.push_back(0.01f * (1.5f + real(random_)));
    if (problem.quantizes()) {
      codes_ = Rows::whole(DType::i8, rows, problem.k);
      QuantizeRows::reference(
          {problem.k, problem.input},
          {rows, input_.data(), input_.stride, codes_.bytes.as<int8_t>(), codes_.stride, input_scales_.data()});
    }
    for (int32_t j = 0; j < problem.n; ++j) bias_.push_back(real(random_));
    packed_bias_ = pack_bias(layout, problem.weight(), bias_);
    residual_ = Rows::whole(DType::f32, rows, width);
    residual_.fill_random(random_);
    args_ = {rows,
             input_.data(),
             input_.stride,
             problem.input == DType::i8 ? input_scales_.data() : nullptr,
             weight_.packed(),
             problem.bias ? packed_bias_.data() : nullptr,
             problem.residual ? reinterpret_cast<const float*>(residual_.data()) : nullptr,
             residual_.stride,
             output_.data(),
             output_.stride,
             !view};
    if (in_place_) {
      args_.residual = reinterpret_cast<const float*>(output_.data());
      args_.residual_stride = output_.stride;
    }
  }

  const Linear::Args& args() const { return args_; }
  Rows& output() { return output_; }

  void reset() {
    output_.bytes.poison();
    if (!in_place_) return;
    for (int32_t r = 0; r < args_.rows; ++r) {
      for (int64_t j = 0; j < output_.width; ++j) output_.set(r, j, residual_.get(r, j));
    }
  }

  std::string mismatch() {
    if (expected_.rows == 0) compute_expected();
    return rows_mismatch("output", output_, expected_, args_.pad_output, [&](int64_t row, int64_t column) {
      return tolerance_[static_cast<size_t>(row * output_.width + column)];
    });
  }

 private:
  void compute_expected() {
    expected_ = Rows::whole(problem_.output, args_.rows, output_.width);
    Linear::Args args = args_;
    args.output = expected_.data();
    args.output_stride = expected_.stride;
    args.residual = reinterpret_cast<const float*>(residual_.data());
    args.residual_stride = residual_.stride;
    args.pad_output = true;
    Linear::reference(problem_, args, layout_);
    tolerance_.resize(static_cast<size_t>(args_.rows * output_.width));
    for (int32_t r = 0; r < args_.rows; ++r) {
      for (int64_t j = 0; j < output_.width; ++j) {
        tolerance_[static_cast<size_t>(r * output_.width + j)] = tolerance(r, j);
      }
    }
  }

  BoundedSum sum(int64_t row, int64_t output) {
    const bool coded = problem_.format.multiplies_codes();
    Rows& input = problem_.quantizes() ? codes_ : input_;
    return bound_product(
        input.dtype, problem_.k, coded ? input_scales_[static_cast<size_t>(row)] : 1,
        [&](int64_t k) { return input.get(row, k); }, weight_.rows().data() + output * problem_.k,
        problem_.bias ? bias_[static_cast<size_t>(output)] : 0);
  }

  double tolerance(int64_t row, int64_t column) {
    return bound_output(
        problem_.activation, problem_.output, sum(row, column), [&] { return sum(row, output_.width + column); },
        problem_.residual ? std::abs(residual_.get(row, column)) : 0, expected_.get(row, column));
  }

  Linear::Problem problem_;
  const WeightLayout& layout_;
  std::mt19937_64 random_;
  RandomWeight weight_;
  Rows input_, codes_, output_, residual_, expected_;
  std::vector<float> input_scales_, bias_, packed_bias_;
  std::vector<double> tolerance_;
  bool in_place_ = false;
  Linear::Args args_;
};

}  // namespace incipit
