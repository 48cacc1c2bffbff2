// Random rows for columnwise work.
#pragma once

#include "gather_case.h"
#include "kernel_case.h"
#include "kernels/families.h"

namespace incipit {

template <>
class KernelCase<Elementwise> {
 public:
  using Op = ElementwiseOp;
  static std::vector<Elementwise::Problem> test_problems() {
    std::vector<Elementwise::Problem> problems;
    constexpr DType dtypes[] = {DType::f32, DType::bf16};
    for (const DType first : dtypes) {
      for (const DType output : dtypes) {
        problems.push_back({Op::copy, Activation::none, 130, first, DType::f32, output, 1, false});
        problems.push_back({Op::scale, Activation::none, 64, first, DType::f32, output, 0.3f, false});
        problems.push_back({Op::soft_cap, Activation::none, 91, first, DType::f32, output, 30, false});
        for (const Activation activation :
             {Activation::none, Activation::silu, Activation::gelu_tanh, Activation::gelu_erf, Activation::relu,
              Activation::relu_squared, Activation::sigmoid}) {
          problems.push_back({Op::activate, activation, 77, first, DType::f32, output, 1, false});
          problems.push_back({Op::gate, activation, 64, first, output, output, 1, false});
        }
        problems.push_back({Op::xielu, Activation::none, 83, first, DType::f32, output, 1, true});
        for (const DType second : dtypes) {
          problems.push_back({Op::add, Activation::none, 37, first, second, output, 1, false});
          problems.push_back({Op::multiply, Activation::none, 1, first, second, output, 1, false});
          problems.push_back({Op::add, Activation::none, 128, first, second, output, 1, true});
        }
      }
    }
    return problems;
  }
  static std::vector<int32_t> test_rows() { return {1, 3, 16, 100}; }
  static std::vector<BenchStep<Elementwise>> bench_steps() {
    return {
        {{Op::copy, Activation::none, 1024, DType::f32, DType::f32, DType::bf16, 1, false}, 1024, 0, 6.0 * (1 << 20)},
        {{Op::add, Activation::none, 1024, DType::f32, DType::f32, DType::f32, 1, false}, 1024, 0, 12.0 * (1 << 20)},
        {{Op::gate, Activation::silu, 2816, DType::f32, DType::f32, DType::bf16, 1, false},
         1024,
         0,
         10.0 * 2816 * 1024}};
  }

  KernelCase(const Elementwise::Problem& problem, int32_t rows, uint64_t seed)
      : problem_(problem),
        random_(seed),
        first_(random_output(problem.first, rows, problem.width, seed / 2)),
        second_(random_output(problem.second, problem.row_vector ? 1 : rows, problem.second_width(), seed / 4)),
        output_(random_output(problem.output, rows, problem.width, seed)) {
    first_.fill_random(random_);
    second_.fill_random(random_);
    if (problem.op == Op::xielu) {
      // As trained ones are; the bend is ours, so that there is something to be right about between it and zero.
      constexpr float curve[] = {0.7f, 1.9f, 0.5f, -0.25f};
      for (int64_t i = 0; i < 4; ++i) second_.set(0, i, curve[i]);
    }
    // Activations are to be right far from zero too.
    for (int32_t row = 0; row < rows; ++row) {
      const float spread = row % 3 == 0 ? 1.0f : row % 3 == 1 ? 8.0f : 1000.0f;
      for (int64_t i = 0; i < problem.width; ++i) first_.set(row, i, first_.get(row, i) * spread);
    }
    in_place_ = problem.first == problem.output && seed % 3 == 0;
    if (in_place_) output_ = Rows::view(problem.output, rows, problem.width, first_.stride, first_.offset);
    args_ = {rows,
             in_place_ ? output_.data() : first_.data(),
             in_place_ ? output_.stride : first_.stride,
             second_.data(),
             second_.stride,
             output_.data(),
             output_.stride,
             is_whole(output_)};
  }
  const Elementwise::Args& args() const { return args_; }
  void reset() {
    output_.bytes.poison();
    if (!in_place_) return;
    for (int32_t row = 0; row < args_.rows; ++row) {
      for (int64_t i = 0; i < problem_.width; ++i) output_.set(row, i, first_.get(row, i));
    }
  }
  std::string mismatch() {
    Rows expected = Rows::whole(problem_.output, args_.rows, problem_.width);
    Elementwise::Args args = args_;
    args.first = first_.data(), args.first_stride = first_.stride;
    args.output = expected.data(), args.output_stride = expected.stride;
    Elementwise::reference(problem_, args);
    return rows_mismatch("output", output_, expected, args_.pad_output, [&](int64_t row, int64_t column) {
      // The operation itself rounds once; an activation errs by at most 12 roundings of |x| (of x times the other
      // factor when gated); then both sides round to the output.
      const double second = problem_.op == Op::gate ? second_.get(problem_.row_vector ? 0 : row, column) : 1;
      // Highway's tanh is within 4 units in the last place; its argument and the product round once each.
      const bool activates = problem_.op == Op::activate || problem_.op == Op::gate || problem_.op == Op::soft_cap;
      // A sigmoid's share of its argument is less than 1.
      const double argument = problem_.activation == Activation::sigmoid ? 1 : first_.get(row, column);
      double inner = activates ? 12 * half_ulp_f32 * std::abs(argument * second) : 0;
      // Of each of its terms.
      if (problem_.op == Op::xielu) {
        const double x = std::abs(first_.get(row, column));
        const double positive = second_.get(0, 0), negative = second_.get(0, 1), slope = second_.get(0, 2);
        inner = 12 * half_ulp_f32 * (positive * x * x + (negative + slope) * x - negative * second_.get(0, 3));
      }
      const double value = std::abs(expected.get(row, column));
      return inner + 2 * unit_roundoff(problem_.output) * (value + inner) + half_ulp_f32 * value + 0x1p-130;
    });
  }

 private:
  Elementwise::Problem problem_;
  std::mt19937_64 random_;
  Rows first_, second_, output_;
  bool in_place_ = false;
  Elementwise::Args args_;
};

}  // namespace incipit
