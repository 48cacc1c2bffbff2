// What products promise beyond the reference's tolerance.
#include "base/codes.h"
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
  return {
      {2 * 70, 259, WeightFormat::f32, DType::f32, DType::f32, true, false, Activation::silu_gate},
      {135, 259, WeightFormat::bf16, DType::bf16, DType::f32, true, true, Activation::none},
      {135, 259, WeightFormat::f16, DType::f32, DType::f32, true, true, Activation::none},
      {135, 259, WeightFormat::i8, DType::i8, DType::bf16, false, true, Activation::gelu_tanh},
      {135, 259, WeightFormat::i8, DType::f32, DType::bf16, false, true, Activation::gelu_tanh},
      {2 * 70, 259, WeightFormat::i8, DType::bf16, DType::f32, true, false, Activation::silu_gate},
      {135, 259, WeightFormat::u4(32).for_inputs(DType::bf16), DType::bf16, DType::f32, true, true, Activation::none}};
}

TEST(Linear, ARowDoesNotDependOnItsBatchOrTheConfiguration) {
  constexpr int32_t all = 61;
  for (const Linear::Problem& problem : awkward_problems()) {
    KernelCase<Linear> step(problem, all, 3);
    for (const Kernel<Linear>& kernel : Linear::kernels()) {
      if (!kernel.accepts(problem) || !this_machine().includes(kernel.needs)) continue;
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

/// The same weight rows packed as a product of f32 outputs, whose columns KvWrite takes, give the same pages.
TEST(Linear, WritesKeysAndValuesIntoPagesAsKvWriteDoes) {
  for (const bool interleaved : {false, true}) {
    Linear::Problem problem{32 + 4 * 48, 40, WeightFormat::f32, DType::f32, DType::f32, true};
    problem.kv = {2, 48, 64, PageLayout::rows, DType::bf16, 16, interleaved};
    Linear::Problem plain = problem;
    plain.kv = {};
    constexpr int32_t rows = 33;
    std::mt19937_64 random(5);
    std::vector<float> weight(static_cast<size_t>(problem.n) * static_cast<size_t>(problem.k)), bias(224);
    std::uniform_real_distribution<float> real(-1, 1);
    for (float& x : weight) x = real(random);
    for (float& x : bias) x = real(random);
    Rows input = Rows::whole(DType::f32, rows, problem.k), table = Rows::whole(DType::f32, rows, 32);
    input.fill_random(random);
    table.fill_random(random);
    PagedBatch batch(problem.kv.geometry(), {0, 62, 7}, {1, 30, 2}, random);

    const auto run = [&](const Linear::Problem& of, Rows& output, const KvOutputs::Args& kv) {
      std::vector<std::byte> codes(static_cast<size_t>(packed_shape(k_major8, of.weight()).bytes()));
      pack_codes(k_major8, of.weight(), reinterpret_cast<const std::byte*>(weight.data()), codes.data());
      const std::vector<float> packed_bias = pack_bias(k_major8, of.weight(), bias);
      Linear::reference(of,
                        {rows,
                         input.data(),
                         input.stride,
                         nullptr,
                         {.codes = codes.data()},
                         packed_bias.data(),
                         nullptr,
                         0,
                         output.data(),
                         output.stride,
                         true,
                         kv},
                        k_major8);
    };
    const auto* cosines = reinterpret_cast<const float*>(table.data());
    Rows all = Rows::whole(DType::f32, rows, plain.output_width());
    run(plain, all, {});
    KvWrite::Problem write{2, 48, 64, DType::f32, DType::bf16, 16, interleaved, PageLayout::rows};
    const std::byte* const keys = all.data() + 32 * 4;
    batch.pool().poison();
    KvWrite::reference(write, {3, batch.spans().data(), batch.cache(), keys, all.stride, keys + 96 * 4, all.stride,
                               cosines, table.stride});
    const std::vector<std::byte> expected(batch.pool().data(), batch.pool().data() + batch.pool().size());

    Rows queries = Rows::whole(DType::f32, rows, problem.output_width());
    ASSERT_EQ(queries.width, 32);
    batch.pool().poison();
    run(problem, queries, {3, batch.spans().data(), batch.cache(), cosines, table.stride});
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), batch.pool().data()));
    for (int32_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < 32; ++column) EXPECT_EQ(queries.get(row, column), all.get(row, column));
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
      if (!kernel.accepts(problem) || !this_machine().includes(kernel.needs)) continue;
      step.reset();
      run_kernel<Linear>(kernel, problem, step.args(), kernel.configs[0], rows, TileOrder::shuffled);
      std::vector<std::vector<std::byte>> result;
      for (int32_t row = 0; row < rows; ++row) result.push_back(row_bytes(step.output(), row));
      if (first.empty()) first = result;
      EXPECT_EQ(result, first) << kernel.name;
    }
  }
}

/// Rows on which rounding is hard: quotients beside the middle between two codes, at magnitudes from the least to the
/// greatest, and rows that are not numbers.
Rows hard_rows(DType dtype, int32_t count, int64_t width) {
  Rows rows = Rows::whole(dtype, count, width);
  std::mt19937_64 random(11);
  rows.fill_random(random);
  std::uniform_int_distribution<int> code(-127, 126), step(-2, 2), power(-149, 126), kind(0, 7);
  std::uniform_real_distribution<float> real(1, 2);
  for (int32_t row = 0; row < count; ++row) {
    const float largest = std::ldexp(real(random), power(random));
    rows.set(row, 0, largest);
    const float scale = rows.get(row, 0) / largest_code;
    for (int64_t column = 1; column < width; ++column) {
      float x = (static_cast<float>(code(random)) + 0.5f) * scale;
      for (int steps = step(random); steps != 0; steps += steps < 0 ? 1 : -1) {
        x = std::nextafter(x, steps < 0 ? -largest : largest);
      }
      rows.set(row, column, x);
    }
    const int what = kind(random);
    if (what == 0) rows.set(row, 1, std::nanf("7"));
    if (what == 1 && row % 4 == 0) rows.set(row, 2, -HUGE_VALF);
    if (what == 2 && row % 4 == 0) {
      for (int64_t column = 0; column < width; ++column) rows.set(row, column, row % 8 == 0 ? 0 : std::nanf("1"));
    }
  }
  return rows;
}

/// Every bf16 number beside every largest one of its row, but for powers of two, which change no code: a row for each
/// largest mantissa and distance of exponents.
Rows all_bf16_rows() {
  Rows rows = Rows::whole(DType::bf16, 128 * 9, 192);
  std::memset(rows.bytes.data(), 0, rows.bytes.size());
  for (int32_t row = 0; row < rows.rows; ++row) {
    const int largest = 128 + row / 9, distance = row % 9;
    rows.set(row, 0, static_cast<float>(largest));
    for (int mantissa = 128; mantissa < (distance == 0 ? largest + 1 : 256); ++mantissa) {
      rows.set(row, mantissa - 127, std::ldexp(static_cast<float>(mantissa), -distance));
    }
  }
  return rows;
}

TEST(Linear, QuantisesItsRowsAsQuantizeRowsDoes) {
  // The weight gives back each input's code, times the row's scale.
  constexpr int32_t width = 192;
  const WeightShape weight = weight_shape(WeightFormat::i8, width, width, false);
  GuardedBytes panels(static_cast<size_t>(packed_shape(panel16, weight).bytes()));
  const std::vector<float> ones(width, 1);
  std::vector<int8_t> unit(width * width);
  for (size_t i = 0; i < width; ++i) unit[i * width + i] = 1;
  const std::vector<int32_t> sums =
      pack_codes(panel16, weight, reinterpret_cast<const std::byte*>(unit.data()), panels.data());
  std::vector<Rows> inputs;
  inputs.push_back(hard_rows(DType::f32, 3000, width));
  inputs.push_back(hard_rows(DType::bf16, 3000, width));
  inputs.push_back(all_bf16_rows());
  for (Rows& rows : inputs) {
    const DType dtype = rows.dtype;
    const int32_t count = rows.rows;
    Rows output = Rows::whole(DType::f32, count, width);
    const Linear::Problem own{width, width, WeightFormat::i8, dtype};
    Linear::Problem given = own;
    given.input = DType::i8;
    for (const Kernel<QuantizeRows>& quantize : QuantizeRows::kernels()) {
      if (quantize.needs.backend == Backend::cuda || !runs_here(quantize.needs)) continue;
      Rows codes = Rows::whole(DType::i8, count, width);
      std::vector<float> scales(static_cast<size_t>(count));
      const QuantizeRows::Args to_codes{count,        rows.data(),  rows.stride, codes.bytes.as<int8_t>(),
                                        codes.stride, scales.data()};
      run_kernel<QuantizeRows>(quantize, {width, dtype}, to_codes, quantize.configs[0], count, TileOrder::shuffled);
      for (const Kernel<Linear>& kernel : Linear::kernels()) {
        if (!kernel.accepts(own) || !this_machine().includes(kernel.needs)) continue;
        Linear::Args args{};
        args.rows = count;
        args.input_stride = rows.stride;
        args.weight = {panels.data(), std::as_bytes(std::span(ones)).data(), sums.data(), nullptr};
        args.output = output.data();
        args.output_stride = output.stride;
        args.input = codes.data();
        args.input_scales = scales.data();
        run_kernel<Linear>(kernel, given, args, kernel.configs[0], count, TileOrder::shuffled);
        const std::vector<std::byte> expected(output.data(), output.data() + output.bytes.size());
        output.bytes.poison();
        args.input = rows.data();
        args.input_scales = nullptr;
        run_kernel<Linear>(kernel, own, args, kernel.configs[0], count, TileOrder::shuffled);
        for (int32_t row = 0; row < count; ++row) {
          const auto at = static_cast<size_t>(row) * width * sizeof(float);
          ASSERT_EQ(std::memcmp(expected.data() + at, output.data() + at, width * sizeof(float)), 0)
              << kernel.name << " after " << quantize.name << ", row " << row << " of " << name_of(dtype) << ", scale "
              << scales[static_cast<size_t>(row)];
        }
      }
    }
  }
}

TEST(Linear, KernelsRefuseOtherProblems) {
  const Linear::Problem mixed{64, 64, WeightFormat::bf16, DType::f32, DType::f32, false, false, Activation::none};
  const Linear::Problem narrow{64, 64, WeightFormat::f16, DType::f16, DType::f32, false, false, Activation::none};
  const Linear::Problem odd_gate{63,    64,    WeightFormat::f32,    DType::f32, DType::f32,
                                 false, false, Activation::silu_gate};
  const Linear::Problem to_codes{64, 64, WeightFormat::f32, DType::f32, DType::i8, false, false, Activation::none};
  const Linear::Problem halves{64, 64, WeightFormat::i8, DType::f16, DType::f32, false, false, Activation::none};
  for (const Kernel<Linear>& kernel : Linear::kernels()) {
    EXPECT_FALSE(kernel.accepts(mixed)) << kernel.name;
    EXPECT_FALSE(kernel.accepts(halves)) << kernel.name;
    EXPECT_FALSE(kernel.accepts(narrow)) << kernel.name;
    EXPECT_FALSE(kernel.accepts(odd_gate)) << kernel.name;
    EXPECT_FALSE(kernel.accepts(to_codes)) << kernel.name;
  }
  // Experts' rows come as codes.
  for (const Kernel<ExpertLinear>& kernel : ExpertLinear::kernels()) {
    EXPECT_FALSE(kernel.accepts({4, 2, 64, 64, WeightFormat::i8, DType::bf16})) << kernel.name;
  }
}

}  // namespace
}  // namespace incipit
