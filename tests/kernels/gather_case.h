// Random rows picked by number: Embedding, PackedEmbedding, GatherRows. All of them are exact.
#pragma once

#include "kernel_case.h"
#include "kernels/families.h"
#include "random_weight.h"

namespace incipit {

/// Numbers below `end`, the first and the last of them among the first two.
inline std::vector<int32_t> random_numbers(int32_t count, int32_t end, std::mt19937_64& random) {
  std::uniform_int_distribution<int32_t> number(0, end - 1);
  std::vector<int32_t> numbers;
  for (int32_t i = 0; i < count; ++i) numbers.push_back(i == 0 ? end - 1 : i == 1 ? 0 : number(random));
  return numbers;
}

/// By turns a whole buffer and a column view.
inline Rows random_output(DType dtype, int32_t rows, int64_t width, uint64_t seed) {
  return seed % 2 == 0 ? Rows::whole(dtype, rows, width)
                       : Rows::view(dtype, rows, width, row_stride(width + 70) + 3, 33);
}
inline bool is_whole(const Rows& rows) { return rows.stride == row_stride(rows.width); }

template <>
class KernelCase<Embedding> {
 public:
  static std::vector<Embedding::Problem> test_problems() {
    return {{100, 64, DType::f32, DType::f32, 1},
            {50, 37, DType::bf16, DType::f32, 1},
            {33, 130, DType::f32, DType::f32, 0.5f},
            {17, 1, DType::bf16, DType::f32, 3.25f},
            {50, 75, DType::f16, DType::f32, 1}};
  }
  static std::vector<int32_t> test_rows() { return standard_rows(); }
  static std::vector<BenchStep<Embedding>> bench_steps() {
    return {{{32000, 1024, DType::bf16, DType::f32, 1}, 1024, 0, 1024.0 * 1024 * 6}};
  }
  KernelCase(const Embedding::Problem& problem, int32_t rows, uint64_t seed)
      : problem_(problem),
        random_(seed),
        table_(Rows::view(problem.table, problem.vocabulary, problem.width, problem.width, 0)),
        ids_(random_numbers(rows, problem.vocabulary, random_)),
        output_(random_output(DType::f32, rows, problem.width, seed)) {
    table_.fill_random(random_);
    args_ = {rows, ids_.data(), table_.data(), output_.data(), output_.stride, is_whole(output_)};
  }
  const Embedding::Args& args() const { return args_; }
  void reset() { output_.bytes.poison(); }
  std::string mismatch() {
    Rows expected = Rows::whole(DType::f32, args_.rows, problem_.width);
    Embedding::Args args = args_;
    args.output = expected.data(), args.output_stride = expected.stride;
    Embedding::reference(problem_, args);
    return rows_mismatch("output", output_, expected, args_.pad_output, [](int64_t, int64_t) { return 0.0; });
  }

 private:
  Embedding::Problem problem_;
  std::mt19937_64 random_;
  Rows table_;
  std::vector<int32_t> ids_;
  Rows output_;
  Embedding::Args args_;
};

template <>
class KernelCase<PackedEmbedding> {
 public:
  static std::vector<PackedEmbedding::Problem> test_problems() {
    std::vector<PackedEmbedding::Problem> problems;
    for (const WeightFormat format : {WeightFormat::f32, WeightFormat::bf16, WeightFormat::f16, WeightFormat::i8}) {
      problems.push_back({100, 64, format, 1});
      problems.push_back({37, 131, format, 2.5f});
    }
    return problems;
  }
  static std::vector<int32_t> test_rows() { return standard_rows(); }
  static std::vector<BenchStep<PackedEmbedding>> bench_steps() {
    return {{{32000, 1024, WeightFormat::bf16, 1}, 1024, 0, 1024.0 * 1024 * 6},
            {{32000, 1024, WeightFormat::i8, 1}, 1024, 0, 1024.0 * 1024 * 5}};
  }
  KernelCase(const PackedEmbedding::Problem& problem, int32_t rows, uint64_t seed, const WeightLayout& layout = panel16)
      : problem_(problem),
        layout_(layout),
        random_(seed),
        weight_(problem.weight(), random_, layout),
        ids_(random_numbers(rows, problem.vocabulary, random_)),
        output_(random_output(DType::f32, rows, problem.width, seed)) {
    args_ = {rows,           ids_.data(),      weight_.packed(), reinterpret_cast<float*>(output_.data()),
             output_.stride, is_whole(output_)};
  }
  const PackedEmbedding::Args& args() const { return args_; }
  void reset() { output_.bytes.poison(); }
  std::string mismatch() {
    Rows expected = Rows::whole(DType::f32, args_.rows, problem_.width);
    PackedEmbedding::Args args = args_;
    args.output = reinterpret_cast<float*>(expected.data()), args.output_stride = expected.stride;
    PackedEmbedding::reference(problem_, args, layout_);
    // The reference itself against the rows that were packed.
    for (int32_t row = 0; row < args_.rows; ++row) {
      for (int64_t i = 0; i < problem_.width; ++i) {
        const float value = weight_.rows()[static_cast<size_t>(ids_[static_cast<size_t>(row)] * problem_.width + i)];
        if (expected.get(row, i) != value * problem_.scale) return "the reference does not return the packed row";
      }
    }
    return rows_mismatch("output", output_, expected, args_.pad_output, [](int64_t, int64_t) { return 0.0; });
  }

 private:
  PackedEmbedding::Problem problem_;
  const WeightLayout& layout_;
  std::mt19937_64 random_;
  RandomWeight weight_;
  std::vector<int32_t> ids_;
  Rows output_;
  PackedEmbedding::Args args_;
};

template <>
class KernelCase<GatherRows> {
 public:
  static std::vector<GatherRows::Problem> test_problems() {
    return {{64, DType::f32}, {37, DType::bf16}, {1, DType::i32}, {200, DType::i8}};
  }
  static std::vector<int32_t> test_rows() { return standard_rows(); }
  static std::vector<BenchStep<GatherRows>> bench_steps() { return {{{1024, DType::f32}, 256, 0, 256.0 * 1024 * 8}}; }
  KernelCase(const GatherRows::Problem& problem, int32_t rows, uint64_t seed)
      : problem_(problem),
        random_(seed),
        input_(random_output(problem.dtype, 40, problem.width, seed / 2)),
        index_(random_numbers(rows, 40, random_)),
        output_(problem.width == 1 ? Rows::view(problem.dtype, rows, 1, 1, 0)
                                   : random_output(problem.dtype, rows, problem.width, seed)) {
    input_.fill_random(random_);
    args_ = {rows, index_.data(), input_.data(), input_.stride, output_.data(), output_.stride, is_whole(output_)};
  }
  const GatherRows::Args& args() const { return args_; }
  void reset() { output_.bytes.poison(); }
  std::string mismatch() {
    Rows expected = Rows::whole(problem_.dtype, args_.rows, problem_.width);
    GatherRows::Args args = args_;
    args.output = expected.data(), args.output_stride = expected.stride;
    GatherRows::reference(problem_, args);
    return rows_mismatch("output", output_, expected, args_.pad_output, [](int64_t, int64_t) { return 0.0; });
  }

 private:
  GatherRows::Problem problem_;
  std::mt19937_64 random_;
  Rows input_;
  std::vector<int32_t> index_;
  Rows output_;
  GatherRows::Args args_;
};

}  // namespace incipit
