// What products promise beyond the reference's tolerance.
#include "kernel_checks.h"
#include "linear_case.h"

namespace incipit {
namespace {

std::vector<std::byte> row_bytes(Rows& rows, int64_t row) {
  const auto size = static_cast<int64_t>(size_of(rows.dtype));
  const std::byte* at = rows.data() + row * rows.stride * size;
  return {at, at + rows.width * size};
}

/// A problem of each format, larger than a kernel's blocks and not a multiple of them.
std::vector<Linear::Problem> awkward_problems() {
  return {{2 * 70, 259, WeightFormat::f32, DType::f32, DType::f32, true, false, Activation::silu_gate},
          {135, 259, WeightFormat::bf16, DType::bf16, DType::f32, true, true, Activation::none},
          {135, 259, WeightFormat::f16, DType::f32, DType::f32, true, true, Activation::none},
          {135, 259, WeightFormat::i8, DType::i8, DType::bf16, false, true, Activation::gelu_tanh}};
}

TEST(Linear, ARowDoesNotDependOnItsBatchOrTheConfiguration) {
  constexpr int32_t all = 61;
  for (const Linear::Problem& problem : awkward_problems()) {
    KernelCase<Linear> step(problem, all, 3);
    for (const Kernel<Linear>& kernel : Linear::kernels()) {
      if (!kernel.accepts(problem) || !cpu_features().includes(kernel.needs)) continue;
      step.reset();
      run_kernel<Linear>(kernel, problem, step.args(), kernel.configs[0], all, TileOrder::shuffled);
      std::vector<std::vector<std::byte>> whole;
      for (int32_t row = 0; row < all; ++row) whole.push_back(row_bytes(step.output(), row));
      for (const KernelConfig& config : kernel.configs) {
        for (const int32_t rows : {1, 2, 3, 4, 5, 7, 8, 16, 19, 33, all}) {
          // The last `rows` rows of the batch, by themselves.
          const int32_t first = all - rows;
          Linear::Args args = step.args();
          args.rows = rows;
          args.input += first * args.input_stride * static_cast<int64_t>(size_of(problem.input));
          if (args.input_scales != nullptr) args.input_scales += first;
          if (args.residual != nullptr) args.residual += first * args.residual_stride;
          args.output += first * args.output_stride * static_cast<int64_t>(size_of(problem.output));
          step.reset();
          run_kernel<Linear>(kernel, problem, args, config, rows, TileOrder::shuffled);
          for (int32_t row = first; row < all; ++row) {
            ASSERT_EQ(row_bytes(step.output(), row), whole[static_cast<size_t>(row)])
                << kernel.name << " " << config.name << ", row " << row << " among " << rows;
          }
        }
      }
    }
  }
}

TEST(Linear, Int8SumsAreExactInEveryKernel) {
  // Without activation the sums are scaled by the same steps everywhere: results agree to the bit, at the extremes of
  // the codes too.
  const Linear::Problem problem{40, 200, WeightFormat::i8, DType::i8, DType::f32, false, false, Activation::none};
  constexpr int32_t rows = 19;
  KernelCase<Linear> step(problem, rows, 3);
  for (const int8_t extreme : {int8_t{0}, int8_t{-127}, int8_t{127}}) {
    if (extreme != 0) {
      auto* input = const_cast<int8_t*>(reinterpret_cast<const int8_t*>(step.args().input));
      for (int32_t row = 0; row < rows; ++row) std::fill_n(input + row * step.args().input_stride, problem.k, extreme);
    }
    std::vector<std::vector<std::byte>> first;
    for (const Kernel<Linear>& kernel : Linear::kernels()) {
      if (!kernel.accepts(problem) || !cpu_features().includes(kernel.needs)) continue;
      step.reset();
      run_kernel<Linear>(kernel, problem, step.args(), kernel.configs[0], rows, TileOrder::shuffled);
      std::vector<std::vector<std::byte>> result;
      for (int32_t row = 0; row < rows; ++row) result.push_back(row_bytes(step.output(), row));
      if (first.empty()) first = result;
      EXPECT_EQ(result, first) << kernel.name;
    }
  }
}

TEST(Linear, KernelsRefuseOtherProblems) {
  const Linear::Problem mixed{64, 64, WeightFormat::bf16, DType::f32, DType::f32, false, false, Activation::none};
  const Linear::Problem narrow{64, 64, WeightFormat::f16, DType::f16, DType::f32, false, false, Activation::none};
  const Linear::Problem odd_gate{63,    64,    WeightFormat::f32,    DType::f32, DType::f32,
                                 false, false, Activation::silu_gate};
  const Linear::Problem to_codes{64, 64, WeightFormat::f32, DType::f32, DType::i8, false, false, Activation::none};
  for (const Kernel<Linear>& kernel : Linear::kernels()) {
    EXPECT_FALSE(kernel.accepts(mixed)) << kernel.name;
    EXPECT_FALSE(kernel.accepts(narrow)) << kernel.name;
    EXPECT_FALSE(kernel.accepts(odd_gate)) << kernel.name;
    EXPECT_FALSE(kernel.accepts(to_codes)) << kernel.name;
  }
}

}  // namespace
}  // namespace incipit
