// Random rows to normalise and to quantise.
#pragma once

#include "gather_case.h"
#include "kernel_case.h"
#include "kernels/families.h"

namespace incipit {

template <>
class KernelCase<RmsNorm> {
 public:
  static std::vector<RmsNorm::Problem> test_problems() {
    std::vector<RmsNorm::Problem> problems;
    for (const DType output : {DType::f32, DType::bf16, DType::i8}) {
      for (const bool gain : {false, true}) {
        for (const bool add : {false, true}) {
          problems.push_back({64, 1e-5f, gain, add, output});
          problems.push_back({gain ? 1 : 205, 1e-6f, gain, add, output});
          problems.push_back({1024, 0, gain, add, output});
        }
        if (output == DType::i8) continue;
        problems.push_back({4 * 16, 1e-6f, gain, false, output, 4});
        problems.push_back({3 * 37, 1e-5f, gain, false, output, 3});
      }
    }
    return problems;
  }
  static std::vector<int32_t> test_rows() { return {1, 2, 7, 33, 100}; }
  static std::vector<BenchStep<RmsNorm>> bench_steps() {
    std::vector<BenchStep<RmsNorm>> steps;
    for (const int32_t rows : {1, 1024}) {
      steps.push_back({{1024, 1e-5f, false, false, DType::bf16}, rows, 0, rows * 1024.0 * 6});
      steps.push_back({{1024, 1e-5f, false, false, DType::i8}, rows, 0, rows * 1024.0 * 5});
      steps.push_back({{1024, 1e-5f, true, true, DType::bf16}, rows, 0, rows * 1024.0 * 14});
      steps.push_back({{4096, 1e-6f, true, false, DType::f32, 32}, rows, 0, rows * 4096.0 * 8});
    }
    return steps;
  }

  KernelCase(const RmsNorm::Problem& problem, int32_t rows, uint64_t seed)
      : problem_(problem),
        random_(seed),
        input_(random_output(DType::f32, rows, problem.width, seed / 2)),
        addend_(Rows::whole(DType::f32, rows, problem.width)),
        gain_(Rows::view(DType::f32, 1, problem.group_width(), problem.group_width(), 0)),
        sum_(random_output(DType::f32, rows, problem.width, seed)),
        output_(random_output(problem.output, rows, problem.width, seed)),
        scales_(GuardedBytes(static_cast<size_t>(rows) * 4)) {
    input_.fill_random(random_);
    addend_.fill_random(random_);
    gain_.fill_random(random_);
    for (int64_t i = 0; i < problem.width && rows > 2; ++i) {  // a row of zeros, which epsilon 0 makes NaN or code 0
      if (problem.epsilon == 0) break;
      input_.set(1, i, 0);
      addend_.set(1, i, 0);
    }
    // By turns the sum stands alone and takes the place of the input.
    in_place_ = problem.add && seed % 3 == 0;
    if (in_place_) sum_ = Rows::view(DType::f32, rows, problem.width, input_.stride, input_.offset);
    // A norm that is no sum's may take the place of its input.
    normed_in_place_ = !problem.add && problem.output == DType::f32 && seed % 3 == 0;
    if (normed_in_place_) output_ = Rows::view(DType::f32, rows, problem.width, input_.stride, input_.offset);
    Rows& input = in_place_ ? sum_ : normed_in_place_ ? output_ : input_;
    args_ = {rows,
             reinterpret_cast<const float*>(input.data()),
             input.stride,
             problem.add ? reinterpret_cast<const float*>(addend_.data()) : nullptr,
             addend_.stride,
             problem.gain ? reinterpret_cast<const float*>(gain_.data()) : nullptr,
             problem.add ? reinterpret_cast<float*>(sum_.data()) : nullptr,
             sum_.stride,
             output_.data(),
             output_.stride,
             problem.output == DType::i8 ? scales_.as<float>() : nullptr,
             is_whole(output_) && (!problem.add || is_whole(sum_))};
  }
  const RmsNorm::Args& args() const { return args_; }
  void reset() {
    output_.bytes.poison();
    scales_.poison();
    sum_.bytes.poison();
    if (!in_place_ && !normed_in_place_) return;
    for (int32_t row = 0; row < args_.rows; ++row) {
      for (int64_t i = 0; i < problem_.width; ++i) (in_place_ ? sum_ : output_).set(row, i, input_.get(row, i));
    }
  }
  std::string mismatch() {
    if (expected_.rows == 0) compute_expected();
    if (problem_.add) {
      std::string wrong =
          rows_mismatch("sum", sum_, expected_sum_, args_.pad_output, [](int64_t, int64_t) { return 0.0; });
      if (!wrong.empty()) return wrong;
    }
    // Σ s² in any order of f32 sums is within width·u of it, its root within half of that; then three roundings.
    const double relative = (0.5 * static_cast<double>(problem_.width) + 6) * half_ulp_f32;
    if (problem_.output != DType::i8) {
      const double bound = relative + 2 * unit_roundoff(problem_.output);
      return rows_mismatch("output", output_, expected_, args_.pad_output, [&](int64_t row, int64_t column) {
        return bound * std::abs(expected_.get(row, column)) * (1 + bound) + 0x1p-130;
      });
    }
    for (int32_t row = 0; row < args_.rows; ++row) {
      const double got = scales_.as<float>()[row], want = expected_scales_[static_cast<size_t>(row)];
      if (!(std::abs(got - want) <= 2 * relative * want)) return "scale of row " + std::to_string(row) + " is wrong";
    }
    if (!scales_.guard_intact()) return "scales were written beyond their end";
    // A code differs where its quotient stands at a half: never by more than one.
    return rows_mismatch("output", output_, expected_, args_.pad_output, [](int64_t, int64_t) { return 1.0; });
  }

 private:
  void compute_expected() {
    expected_ = Rows::whole(problem_.output, args_.rows, problem_.width);
    expected_sum_ = Rows::whole(DType::f32, args_.rows, problem_.width);
    expected_scales_.resize(static_cast<size_t>(args_.rows));
    RmsNorm::Args args = args_;
    args.input = reinterpret_cast<const float*>(input_.data()), args.input_stride = input_.stride;
    args.output = expected_.data(), args.output_stride = expected_.stride;
    args.sum = reinterpret_cast<float*>(expected_sum_.data()), args.sum_stride = expected_sum_.stride;
    args.output_scales = expected_scales_.data();
    RmsNorm::reference(problem_, args);
  }

  RmsNorm::Problem problem_;
  std::mt19937_64 random_;
  Rows input_, addend_, gain_, sum_, output_, expected_, expected_sum_;
  GuardedBytes scales_;
  std::vector<float> expected_scales_;
  bool in_place_ = false, normed_in_place_ = false;
  RmsNorm::Args args_;
};

template <>
class KernelCase<LayerNorm> {
 public:
  static std::vector<LayerNorm::Problem> test_problems() {
    std::vector<LayerNorm::Problem> problems;
    for (const DType output : {DType::f32, DType::bf16, DType::i8}) {
      for (const bool gain : {false, true}) {
        for (const bool bias : {false, true}) {
          problems.push_back({64, 1e-5f, gain, bias, output});
          problems.push_back({gain ? 1 : 205, 1e-6f, gain, bias, output});
          problems.push_back({1024, 1e-12f, gain, bias, output});
          if (output == DType::i8) continue;
          problems.push_back({4 * 16, 1e-6f, gain, bias, output, 4});
          problems.push_back({3 * 37, 1e-5f, gain, bias, output, 3});
        }
      }
    }
    return problems;
  }
  static std::vector<int32_t> test_rows() { return {1, 2, 7, 33, 100}; }
  static std::vector<BenchStep<LayerNorm>> bench_steps() {
    std::vector<BenchStep<LayerNorm>> steps;
    for (const int32_t rows : {1, 1024}) {
      steps.push_back({{1024, 1e-5f, true, true, DType::f32}, rows, 0, rows * 1024.0 * 8});
      steps.push_back({{1024, 1e-5f, false, false, DType::bf16}, rows, 0, rows * 1024.0 * 6});
      steps.push_back({{1024, 1e-5f, false, false, DType::i8}, rows, 0, rows * 1024.0 * 5});
    }
    return steps;
  }

  KernelCase(const LayerNorm::Problem& problem, int32_t rows, uint64_t seed)
      : problem_(problem),
        random_(seed),
        input_(random_output(DType::f32, rows, problem.width, seed / 2)),
        gain_(Rows::view(DType::f32, 1, problem.width, problem.width, 0)),
        bias_(Rows::view(DType::f32, 1, problem.width, problem.width, 0)),
        output_(random_output(problem.output, rows, problem.width, seed)),
        scales_(GuardedBytes(static_cast<size_t>(rows) * 4)) {
    input_.fill_random(random_);
    gain_.fill_random(random_);
    bias_.fill_random(random_);
    for (int32_t row = 0; row < rows; row += 3) {  // rows far from zero: the mean must go first
      for (int64_t i = 0; i < problem.width; ++i) input_.set(row, i, input_.get(row, i) + 100);
    }
    args_ = {rows,
             reinterpret_cast<const float*>(input_.data()),
             input_.stride,
             problem.gain ? reinterpret_cast<const float*>(gain_.data()) : nullptr,
             problem.bias ? reinterpret_cast<const float*>(bias_.data()) : nullptr,
             output_.data(),
             output_.stride,
             problem.output == DType::i8 ? scales_.as<float>() : nullptr,
             is_whole(output_)};
  }
  const LayerNorm::Args& args() const { return args_; }
  void reset() {
    output_.bytes.poison();
    scales_.poison();
  }
  std::string mismatch() {
    if (expected_.rows == 0) compute_expected();
    if (problem_.output != DType::i8) {
      return rows_mismatch("output", output_, expected_, args_.pad_output, [&](int64_t row, int64_t column) {
        const double error = error_of(row, column);
        return error + 2 * unit_roundoff(problem_.output) * (std::abs(expected_.get(row, column)) + error);
      });
    }
    for (int32_t row = 0; row < args_.rows; ++row) {
      double error = 0;
      for (int64_t i = 0; i < problem_.width; ++i) error = std::max(error, error_of(row, i));
      const double got = scales_.as<float>()[row], want = expected_scales_[static_cast<size_t>(row)];
      if (!(std::abs(got - want) <= error / 127 + 4 * half_ulp_f32 * want)) {
        return "scale of row " + std::to_string(row) + " is wrong";
      }
    }
    if (!scales_.guard_intact()) return "scales were written beyond their end";
    // A code differs where its quotient stands at a half: never by more than one.
    return rows_mismatch("output", output_, expected_, args_.pad_output, [](int64_t, int64_t) { return 1.0; });
  }

 private:
  /// In f32, before the output's rounding. The mean, summed in any order, is off by width·u·max|x| at most, and so is
  /// each deviation, which rounds once more; the sum of their squares is within width·u of its size and its root
  /// within half of that; then three roundings.
  double error_of(int64_t row, int64_t column) {
    const double width = problem_.group_width(), u = half_ulp_f32;
    const RowFacts& facts = facts_[static_cast<size_t>(row * problem_.groups + column / problem_.group_width())];
    const double off = (width + 1) * u * facts.largest;
    const double gain = problem_.gain ? std::abs(gain_.get(0, column)) : 1;
    const double normed = std::abs(input_.get(row, column) - facts.mean) * facts.factor * gain;
    const double relative = (0.5 * width + 6) * u + off * off * facts.factor * facts.factor;
    return off * facts.factor * gain * (1 + relative) + relative * normed +
           u * (normed + (problem_.bias ? std::abs(bias_.get(0, column)) : 0));
  }

  struct RowFacts {
    double largest = 0, mean = 0, factor = 0;
  };
  RowFacts facts_of(int64_t row, int64_t group) {
    RowFacts facts;
    double variance = 0;
    const auto width = static_cast<double>(problem_.group_width());
    const int64_t first = group * problem_.group_width(), end = first + problem_.group_width();
    for (int64_t i = first; i < end; ++i) {
      facts.largest = std::max(facts.largest, static_cast<double>(std::abs(input_.get(row, i))));
      facts.mean += input_.get(row, i) / width;
    }
    for (int64_t i = first; i < end; ++i) variance += std::pow(input_.get(row, i) - facts.mean, 2) / width;
    facts.factor = 1 / std::sqrt(variance + static_cast<double>(problem_.epsilon));
    return facts;
  }

  void compute_expected() {
    expected_ = Rows::whole(problem_.output, args_.rows, problem_.width);
    expected_scales_.resize(static_cast<size_t>(args_.rows));
    for (int32_t row = 0; row < args_.rows; ++row) {
      for (int32_t group = 0; group < problem_.groups; ++group) facts_.push_back(facts_of(row, group));
    }
    LayerNorm::Args args = args_;
    args.output = expected_.data(), args.output_stride = expected_.stride;
    args.output_scales = expected_scales_.data();
    LayerNorm::reference(problem_, args);
  }

  LayerNorm::Problem problem_;
  std::mt19937_64 random_;
  Rows input_, gain_, bias_, output_, expected_;
  GuardedBytes scales_;
  std::vector<float> expected_scales_;
  std::vector<RowFacts> facts_;
  LayerNorm::Args args_;
};

template <>
class KernelCase<QuantizeRows> {
 public:
  static std::vector<QuantizeRows::Problem> test_problems() {
    return {{64, DType::f32}, {64, DType::bf16},       {205, DType::f32},       {37, DType::bf16},
            {1, DType::f32},  {2 * 48, DType::f32, 2}, {8 * 33, DType::bf16, 8}};
  }
  static std::vector<int32_t> test_rows() { return standard_rows(); }
  static std::vector<BenchStep<QuantizeRows>> bench_steps() {
    return {{{1024, DType::f32}, 1024, 0, 1024 * 1024.0 * 5}, {{2816, DType::bf16}, 1024, 0, 1024 * 2816.0 * 3}};
  }
  KernelCase(const QuantizeRows::Problem& problem, int32_t rows, uint64_t seed)
      : problem_(problem),
        random_(seed),
        input_(random_output(problem.input, rows, problem.width, seed / 2)),
        output_(random_output(DType::i8, rows, problem.width, seed)),
        scale_stride_(problem.groups == 1 ? 1 : row_stride(problem.groups)),
        scales_(GuardedBytes(static_cast<size_t>(rows * scale_stride_) * 4)) {
    input_.fill_random(random_);
    for (int64_t i = 0; i < problem.width && rows > 2; ++i) {
      input_.set(1, i, 0);  // a row of zeros, and one of large numbers
      input_.set(2, i, input_.get(2, i) * 1e30f);
    }
    // One whose scale would be subnormal, and one with a number that is none.
    for (int64_t i = 0; i < problem.width && rows > 3; ++i) input_.set(3, i, input_.get(3, i) * 1e-37f);
    if (rows > 4) input_.set(4, problem.width / 2, std::nanf(""));
    args_ = {rows,           input_.data(),       input_.stride,     reinterpret_cast<int8_t*>(output_.data()),
             output_.stride, scales_.as<float>(), is_whole(output_), scale_stride_};
  }
  const QuantizeRows::Args& args() const { return args_; }
  void reset() {
    output_.bytes.poison();
    scales_.poison();
  }
  /// The rule is made of single roundings: every kernel is exact.
  std::string mismatch() {
    Rows expected = Rows::whole(DType::i8, args_.rows, problem_.width);
    GuardedBytes scales(scales_.size());
    QuantizeRows::Args args = args_;
    args.output = reinterpret_cast<int8_t*>(expected.data()), args.output_stride = expected.stride;
    args.scales = scales.as<float>();
    QuantizeRows::reference(problem_, args);
    if (std::memcmp(scales.data(), scales_.data(), scales.size()) != 0) return "a scale is wrong";
    if (!scales_.guard_intact()) return "scales were written beyond their end";
    return rows_mismatch("output", output_, expected, args_.pad_output, [](int64_t, int64_t) { return 0.0; });
  }

 private:
  QuantizeRows::Problem problem_;
  std::mt19937_64 random_;
  Rows input_, output_;
  int64_t scale_stride_;
  GuardedBytes scales_;
  QuantizeRows::Args args_;
};

}  // namespace incipit
