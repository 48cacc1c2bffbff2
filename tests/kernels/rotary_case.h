// Random rotations and their tables.
#pragma once

#include "base/rotary.h"
#include "gather_case.h"
#include "kernel_case.h"
#include "kernels/families.h"

namespace incipit {

inline std::vector<float> inverse_frequencies(int32_t pairs) {
  std::vector<float> frequencies;
  for (int32_t i = 0; i < pairs; ++i) frequencies.push_back(static_cast<float>(std::pow(1e4, -1.0 * i / pairs)));
  return frequencies;
}

/// How far rotated numbers, of inputs and a table within 1, may be from the reference: two products and their sum are
/// three roundings of at most 2; then both sides are rounded to the output.
inline double rotation_bound(DType output) { return 6 * half_ulp_f32 + 4 * unit_roundoff(output); }

template <>
class KernelCase<RotaryTable> {
 public:
  static std::vector<RotaryTable::Problem> test_problems() {
    return {{32, 1}, {1, 1}, {37, 1.25f}, {128, 1}, {24, 1.25f, 0.1f, 16}};
  }
  static std::vector<int32_t> test_rows() { return standard_rows(); }
  static std::vector<BenchStep<RotaryTable>> bench_steps() { return {{{32, 1}, 1024, 0, 1024.0 * 64 * 4}}; }
  KernelCase(const RotaryTable::Problem& problem, int32_t rows, uint64_t seed)
      : problem_(problem),
        random_(seed),
        positions_(random_numbers(rows, seed % 2 == 0 ? 2048 : 10'000'000, random_)),
        frequencies_(inverse_frequencies(problem.pairs)),
        output_(Rows::view(DType::f32, rows, 2 * problem.pairs, 2 * problem.pairs, 0)) {
    args_ = {rows, positions_.data(), frequencies_.data(), reinterpret_cast<float*>(output_.data()), output_.stride};
  }
  const RotaryTable::Args& args() const { return args_; }
  void reset() { output_.bytes.poison(); }
  std::string mismatch() {
    Rows expected = Rows::view(DType::f32, args_.rows, 2 * problem_.pairs, 2 * problem_.pairs, 0);
    RotaryTable::Args args = args_;
    args.output = reinterpret_cast<float*>(expected.data()), args.output_stride = expected.stride;
    RotaryTable::reference(problem_, args);
    // Two roundings to float of values within the factor, at the farthest position.
    const double largest = RotaryFactor{problem_.factor, problem_.growth, problem_.growth_length}.at(10'000'000);
    const double bound = 2 * half_ulp_f32 * largest;
    return rows_mismatch("table", output_, expected, false, [&](int64_t, int64_t) { return bound; });
  }

 private:
  RotaryTable::Problem problem_;
  std::mt19937_64 random_;
  std::vector<int32_t> positions_;
  std::vector<float> frequencies_;
  Rows output_;
  RotaryTable::Args args_;
};

template <>
class KernelCase<Rotary> {
 public:
  static std::vector<Rotary::Problem> test_problems() {
    std::vector<Rotary::Problem> problems;
    constexpr DType dtypes[] = {DType::f32, DType::bf16};
    for (const DType input : dtypes) {
      for (const DType output : dtypes) {
        for (const bool interleaved : {false, true}) {
          problems.push_back({4, 64, 32, interleaved, input, output});
          problems.push_back({3, 80, 20, interleaved, input, output});
          problems.push_back({1, 2, 1, interleaved, input, output});
          problems.push_back({2, 96, 37, interleaved, input, output});
        }
      }
    }
    return problems;
  }
  static std::vector<int32_t> test_rows() { return {1, 2, 7, 33, 100}; }
  static std::vector<BenchStep<Rotary>> bench_steps() {
    return {{{16, 64, 32, false, DType::f32, DType::bf16}, 1024, 0, 6.0 * (1 << 20)},
            {{16, 64, 32, false, DType::f32, DType::f32}, 1024, 0, 8.0 * (1 << 20)}};
  }
  KernelCase(const Rotary::Problem& problem, int32_t rows, uint64_t seed)
      : problem_(problem),
        random_(seed),
        input_(random_output(problem.input, rows, int64_t{problem.heads} * problem.head_dim, seed / 2)),
        table_(random_output(DType::f32, rows, 2 * problem.pairs, seed / 4)),
        output_(random_output(problem.output, rows, int64_t{problem.heads} * problem.head_dim, seed)) {
    input_.fill_random(random_);
    table_.fill_random(random_);
    in_place_ = problem.input == problem.output && seed % 3 == 0;
    if (in_place_) output_ = Rows::view(problem.output, rows, input_.width, input_.stride, input_.offset);
    args_ = {rows,
             in_place_ ? output_.data() : input_.data(),
             in_place_ ? output_.stride : input_.stride,
             reinterpret_cast<const float*>(table_.data()),
             table_.stride,
             output_.data(),
             output_.stride,
             is_whole(output_)};
  }
  const Rotary::Args& args() const { return args_; }
  void reset() {
    output_.bytes.poison();
    if (!in_place_) return;
    for (int32_t row = 0; row < args_.rows; ++row) {
      for (int64_t i = 0; i < input_.width; ++i) output_.set(row, i, input_.get(row, i));
    }
  }
  std::string mismatch() {
    Rows expected = Rows::whole(problem_.output, args_.rows, input_.width);
    Rotary::Args args = args_;
    args.input = input_.data(), args.input_stride = input_.stride;
    args.output = expected.data(), args.output_stride = expected.stride;
    Rotary::reference(problem_, args);
    const double bound = rotation_bound(problem_.output);
    return rows_mismatch("output", output_, expected, args_.pad_output, [&](int64_t, int64_t column) {
      return column % problem_.head_dim < 2 * problem_.pairs ? bound : 0.0;
    });
  }

 private:
  Rotary::Problem problem_;
  std::mt19937_64 random_;
  Rows input_, table_, output_;
  bool in_place_ = false;
  Rotary::Args args_;
};

}  // namespace incipit
