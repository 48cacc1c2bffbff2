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
    }
    return steps;
  }

  KernelCase(const RmsNorm::Problem& problem, int32_t rows, uint64_t seed)
      : problem_(problem),
        random_(seed),
        input_(random_output(DType::f32, rows, problem.width, seed / 2)),
        addend_(Rows::whole(DType::f32, rows, problem.width)),
        gain_(Rows::view(DType::f32, 1, problem.width, problem.width, 0)),
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
    args_ = {rows,
             reinterpret_cast<const float*>(in_place_ ? sum_.data() : input_.data()),
             in_place_ ? sum_.stride : input_.stride,
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
    if (!in_place_) return;
    for (int32_t row = 0; row < args_.rows; ++row) {
      for (int64_t i = 0; i < problem_.width; ++i) sum_.set(row, i, input_.get(row, i));
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
  bool in_place_ = false;
  RmsNorm::Args args_;
};

template <>
class KernelCase<QuantizeRows> {
 public:
  static std::vector<QuantizeRows::Problem> test_problems() {
    return {{64, DType::f32}, {64, DType::bf16}, {205, DType::f32}, {37, DType::bf16}, {1, DType::f32}};
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
        scales_(GuardedBytes(static_cast<size_t>(rows) * 4)) {
    input_.fill_random(random_);
    for (int64_t i = 0; i < problem.width && rows > 2; ++i) {
      input_.set(1, i, 0);  // a row of zeros, and one of large numbers
      input_.set(2, i, input_.get(2, i) * 1e30f);
    }
    args_ = {rows,           input_.data(),       input_.stride,    reinterpret_cast<int8_t*>(output_.data()),
             output_.stride, scales_.as<float>(), is_whole(output_)};
  }
  const QuantizeRows::Args& args() const { return args_; }
  void reset() {
    output_.bytes.poison();
    scales_.poison();
  }
  /// The rule is made of single roundings: every kernel is exact.
  std::string mismatch() {
    Rows expected = Rows::whole(DType::i8, args_.rows, problem_.width);
    std::vector<float> scales(static_cast<size_t>(args_.rows));
    QuantizeRows::Args args = args_;
    args.output = reinterpret_cast<int8_t*>(expected.data()), args.output_stride = expected.stride;
    args.scales = scales.data();
    QuantizeRows::reference(problem_, args);
    if (!std::equal(scales.begin(), scales.end(), args_.scales)) return "a scale is wrong";
    if (!scales_.guard_intact()) return "scales were written beyond their end";
    return rows_mismatch("output", output_, expected, args_.pad_output, [](int64_t, int64_t) { return 0.0; });
  }

 private:
  QuantizeRows::Problem problem_;
  std::mt19937_64 random_;
  Rows input_, output_;
  GuardedBytes scales_;
  QuantizeRows::Args args_;
};

}  // namespace incipit
