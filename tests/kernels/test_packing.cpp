// The packed layouts, element by element.
#include "kernels/packing.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "base/dtype.h"
#include "linear_case.h"
#include "support/packed_weight.h"

namespace incipit {
namespace {

TEST(Packing, OrderOfAPlainWeightPadsTheLastPanel) {
  const OutputOrder order(panel16, 37, {});
  EXPECT_EQ(order.packed_rows(), 48);
  for (int64_t row = 0; row < order.packed_rows(); ++row) EXPECT_EQ(order.source_row(row), row < 37 ? row : -1);
  EXPECT_EQ(OutputOrder(k_major8, 37, {}).packed_rows(), 37);
}

TEST(Packing, OrderOfAGatedWeightAlternatesGateAndUp) {
  const OutputOrder order(panel16, 2 * 20, gate_and_up(2 * 20, true));
  EXPECT_EQ(order.packed_rows(), 64);
  EXPECT_EQ(order.source_row(0), 0);        // gate 0
  EXPECT_EQ(order.source_row(16), 20);      // up 0
  EXPECT_EQ(order.source_row(32 + 3), 19);  // gate 19
  EXPECT_EQ(order.source_row(32 + 4), -1);  // a pad of the gate
  EXPECT_EQ(order.source_row(48 + 3), 39);  // up 19
  EXPECT_EQ(order.source_row(48 + 4), -1);
  const OutputOrder rows(k_major8, 2 * 20, gate_and_up(2 * 20, true));
  EXPECT_EQ(rows.packed_rows(), 48);
  EXPECT_EQ(rows.source_row(7), 7);
  EXPECT_EQ(rows.source_row(8), 20);
  EXPECT_EQ(rows.source_row(16), 8);
  EXPECT_EQ(rows.source_row(32 + 3), 19);
  EXPECT_EQ(rows.source_row(32 + 4), -1);
  EXPECT_EQ(rows.source_row(40), 20 + 16);
}

TEST(Packing, OrderOfRotatedHeadsAlternatesTheirHalves) {
  // Three heads of 32, whose halves are paired, and 20 rows of something else.
  const OutputOrder order(k_major8, 3 * 32 + 20, {3, 16});
  EXPECT_EQ(order.packed_rows(), 3 * 32 + 20);
  EXPECT_EQ(order.source_row(32), 32);           // head 1, dim 0
  EXPECT_EQ(order.source_row(32 + 8), 32 + 16);  // and its partner
  EXPECT_EQ(order.source_row(32 + 16), 32 + 8);
  EXPECT_EQ(order.source_row(3 * 32 + 5), 3 * 32 + 5);
}

TEST(Packing, OrderOfKeysAmongOthersAlternatesWhatRotatesTogether) {
  // 32 queries, two heads of keys of 40 whose first 32 dims rotate, and 20 values.
  const OutputOrder halves(k_major8, 32 + 2 * 40 + 20, {2, 16, 32, 8});
  EXPECT_EQ(halves.packed_rows(), 32 + 2 * 40 + 20);
  EXPECT_EQ(halves.source_row(31), 31);
  EXPECT_EQ(halves.source_row(32 + 40), 32 + 40);           // head 1, dim 0
  EXPECT_EQ(halves.source_row(32 + 40 + 8), 32 + 40 + 16);  // and its partner
  EXPECT_EQ(halves.source_row(32 + 40 + 33), 32 + 40 + 33);
  EXPECT_EQ(halves.source_row(32 + 80 + 3), 32 + 80 + 3);
  const OutputOrder neighbours(k_major8, 32 + 2 * 40 + 20, {2, 16, 32, 8, true});
  EXPECT_EQ(neighbours.source_row(32 + 40 + 1), 32 + 40 + 2);      // dim 2
  EXPECT_EQ(neighbours.source_row(32 + 40 + 8 + 1), 32 + 40 + 3);  // and its partner
  EXPECT_EQ(neighbours.source_row(32 + 40 + 16), 32 + 40 + 16);
}

TEST(Packing, OrdersInvert) {
  for (const WeightLayout* layout : weight_layouts()) {
    const std::pair<int64_t, RowPairs> weights[] = {{37, {}},
                                                    {48, {}},
                                                    {2 * 20, {1, 20}},
                                                    {2 * 32, {1, 32}},
                                                    {2, {1, 1}},
                                                    {0, {}},
                                                    {100, {3, 16}},
                                                    {96, {3, 16}},
                                                    {50, {2, 12}},
                                                    {140, {3, 16, 20, 8}},
                                                    {140, {3, 12, 20, 8, true}}};
    for (const auto& [n, pairs] : weights) {
      const OutputOrder order(*layout, n, pairs);
      int64_t pads = 0;
      for (int64_t row = 0; row < order.packed_rows(); ++row) {
        const int64_t source = order.source_row(row);
        if (source < 0) {
          ++pads;
        } else {
          EXPECT_EQ(order.packed_row(source), row);
        }
      }
      EXPECT_EQ(order.packed_rows() - pads, n);
    }
  }
}

template <typename T>
std::vector<T> packed_codes(const WeightLayout& layout, const WeightShape& weight, const std::vector<T>& codes) {
  std::vector<T> packed(static_cast<size_t>(packed_shape(layout, weight).bytes()) / sizeof(T));
  pack_codes(layout, weight, std::as_bytes(std::span(codes)).data(), reinterpret_cast<std::byte*>(packed.data()));
  return packed;
}

TEST(Packing, PanelsHoldGroupsOfInputsSideBySide) {
  constexpr int64_t k = 70;
  std::vector<float> f32(16 * k);
  std::vector<bf16> brain(16 * k);
  std::vector<f16> half(16 * k);
  std::vector<int8_t> codes(16 * k);
  for (size_t i = 0; i < f32.size(); ++i) {
    f32[i] = static_cast<float>(i % 113);  // exact in bf16 and f16
    brain[i] = to_bf16(f32[i]);
    half[i] = to_f16(f32[i]);
    codes[i] = static_cast<int8_t>(i * 5 % 255 - 127);
  }
  const auto of = [&](const WeightFormat& format) { return weight_shape(format, 16, k, false); };
  EXPECT_EQ(packed_shape(panel16, of(WeightFormat::f32)).padded_k, 128);
  EXPECT_EQ(packed_shape(panel16, of(WeightFormat::f32)).panel_bytes, 16 * 128 * 4);
  const auto f32_panel = packed_codes(panel16, of(WeightFormat::f32), f32);
  const auto bf16_panel = packed_codes(panel16, of(WeightFormat::bf16), brain);
  const auto f16_panel = packed_codes(panel16, of(WeightFormat::f16), half);
  const auto i8_panel = packed_codes(panel16, of(WeightFormat::i8), codes);
  std::vector<int8_t> out(i8_panel.size());
  const std::vector<int32_t> sums = pack_codes(panel16, of(WeightFormat::i8), std::as_bytes(std::span(codes)).data(),
                                               reinterpret_cast<std::byte*>(out.data()));
  for (int64_t r = 0; r < 16; ++r) {
    int32_t sum = 0;
    for (int64_t i = 0; i < 128; ++i) {
      const auto at = static_cast<size_t>(r * k + i);
      const float value = i < k ? f32[at] : 0;
      const int8_t code = i < k ? codes[at] : int8_t{0};
      sum += code;
      EXPECT_EQ(f32_panel[static_cast<size_t>(i * 16 + r)], value);
      EXPECT_EQ(to_float(bf16_panel[static_cast<size_t>(i / 2 * 32 + r * 2 + i % 2)]), value);
      EXPECT_EQ(to_float(f16_panel[static_cast<size_t>(i * 16 + r)]), value);
      EXPECT_EQ(i8_panel[static_cast<size_t>(i / 4 * 64 + r * 4 + i % 4)], code);
    }
    EXPECT_EQ(sums[static_cast<size_t>(r)], sum);
  }
}

TEST(Packing, CodesOfFourBitsShareBytes) {
  constexpr int64_t n = 16, k = 70;
  std::vector<int8_t> codes(n * k);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<int8_t>(i * 5 % 16 - 8);
  const WeightShape weight = weight_shape(WeightFormat::i4(32), n, k, false);
  EXPECT_EQ(packed_shape(panel16, weight).panel_bytes, 16 * 128 / 2);
  EXPECT_EQ(packed_shape(panel16, weight).padded_k, 128);
  EXPECT_EQ(packed_shape(k_major8, weight).panel_bytes, 128);
  std::vector<std::byte> panel(16 * 128 / 2), rows(n * 128);
  const auto bytes = std::as_bytes(std::span(codes));
  EXPECT_TRUE(pack_codes(panel16, weight, bytes.data(), panel.data()).empty());
  pack_codes(k_major8, weight, bytes.data(), rows.data());
  const auto half = [](std::byte both, int64_t upper) {
    return std::to_integer<int>(upper == 1 ? both >> 4 : both & std::byte{15}) - 8;
  };
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t i = 0; i < k; ++i) {
      const int code = codes[static_cast<size_t>(r * k + i)];
      // Of eight inputs the first four have the lower halves of four bytes, and the others the upper ones.
      EXPECT_EQ(half(panel[static_cast<size_t>(i / 8 * 64 + r * 4 + i % 4)], i / 4 % 2), code);
      // Of 64 inputs a lane of four has eight bytes, whose words it shifts right by 0, 4, 8 and 12: each time it finds
      // two neighbours in the words' halves. Two such pairs, eight inputs apart, are its part of a product of 16.
      const int64_t product = i / 16, pair = product % 2 * 2 + i / 8 % 2, lane = i / 2 % 4;
      uint32_t word;
      std::memcpy(&word, rows.data() + r * 128 + i / 64 * 32 + lane * 8 + product / 2 % 2 * 4, 4);
      EXPECT_EQ(static_cast<int>(word >> (4 * pair + 16 * (i % 2)) & 15) - 8, code);
    }
  }
}

TEST(Packing, RowsOfKAreAligned) {
  constexpr int64_t n = 2 * 20, k = 70;
  std::vector<int8_t> codes(n * k);
  std::iota(codes.begin(), codes.end(), int8_t{0});
  const WeightShape weight = weight_shape(WeightFormat::i8, n, k, true);
  const PackedShape shape = packed_shape(k_major8, weight);
  EXPECT_EQ(shape.padded_k, 128);
  EXPECT_EQ(packed_shape(k_major8, weight_shape(WeightFormat::bf16, n, k, true)).panel_bytes, 256);
  const auto packed = packed_codes(k_major8, weight, codes);
  const OutputOrder order(k_major8, n, weight.pairs);
  for (int64_t row = 0; row < order.packed_rows(); ++row) {
    const int64_t source = order.source_row(row);
    for (int64_t i = 0; i < 128; ++i) {
      const int8_t code = source >= 0 && i < k ? codes[static_cast<size_t>(source * k + i)] : int8_t{0};
      EXPECT_EQ(packed[static_cast<size_t>(row * 128 + i)], code) << row << ' ' << i;
    }
  }
}

TEST(Packing, ScalesLieInPanelsAsCodesDo) {
  // 20 outputs of 70 inputs in blocks of 32: three scales each.
  const WeightFormat grouped{DType::i8, DType::f32, 1, 32, DType::f16, {}};
  const WeightShape weight{grouped, 20, 70, {}};
  std::vector<f16> scales(20 * 3);
  for (size_t i = 0; i < scales.size(); ++i) scales[i] = to_f16(static_cast<float>(i + 1));
  const auto packed = [&](const WeightLayout& layout) {
    const auto bytes =
        WeightPacker(layout, weight).pack_plane(PlaneRole::scales, DType::f16, std::as_bytes(std::span(scales)));
    std::vector<f16> values(bytes.size() / 2);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  };
  const std::vector<f16> panels = packed(panel16), rows = packed(k_major8);
  ASSERT_EQ(panels.size(), 2U * 3 * 16);
  ASSERT_EQ(rows.size(), scales.size());
  for (size_t row = 0; row < 32; ++row) {
    for (size_t block = 0; block < 3; ++block) {
      const float wanted = row < 20 ? static_cast<float>(row * 3 + block + 1) : 0;
      EXPECT_EQ(to_float(panels[(row / 16 * 3 + block) * 16 + row % 16]), wanted);
      if (row < 20) {
        EXPECT_EQ(to_float(rows[row * 3 + block]), wanted);
      }
    }
  }
}

TEST(Packing, OutputsArePermutedAndPadded) {
  const std::vector<float> packed =
      pack_bias(panel16, weight_shape(WeightFormat::f32, 6, 1, true), {{1, 2, 3, 4, 5, 6}});
  ASSERT_EQ(packed.size(), 32u);
  EXPECT_EQ(packed[2], 3);
  EXPECT_EQ(packed[3], 0);
  EXPECT_EQ(packed[16], 4);
  EXPECT_EQ(packed[18], 6);
}

/// Today's, and some of every kind that the description allows.
std::vector<WeightFormat> all_kinds() {
  return {WeightFormat::f32,
          WeightFormat::bf16,
          WeightFormat::f16,
          WeightFormat::i8,
          {DType::bf16, DType::f32, 1, 0, {}, {}},
          {DType::i8, DType::f32, 1, 32, DType::bf16, {}},
          {DType::i8, DType::i8, 1, 32, DType::f16, {}},
          {DType::u8, DType::f32, 1, 16, DType::f16, DType::u8},
          {DType::i8, DType::bf16, 4, 32, DType::f32, {}},
          {DType::u8, DType::f32, 0, 0, DType::f32, DType::i8},
          WeightFormat::i4(64),
          WeightFormat::i4(32),
          WeightFormat::u4(32),
          {DType::i8, DType::bf16, 1, 16, DType::f16, {}, true},
          {DType::u8, DType::f32, 1, 0, DType::f32, DType::u8, true}};
}

TEST(WeightFormats, AreReadBackFromEveryLayout) {
  for (const WeightFormat& format : all_kinds()) {
    for (const WeightLayout* layout : weight_layouts()) {
      for (const bool gated : {false, true}) {
        const WeightShape weight = weight_shape(format, 2 * 21, 75, gated);
        std::mt19937_64 random(7);
        RandomWeight made(weight, random, *layout);
        const PackedWeight packed = made.packed();
        const WeightReader reader(*layout, weight, packed);
        std::vector<float> row(75);
        for (int64_t source = 0; source < weight.n; ++source) {
          reader.read(source, row.data());
          for (int64_t i = 0; i < weight.k; ++i) {
            ASSERT_EQ(row[static_cast<size_t>(i)], made.rows()[static_cast<size_t>(source * weight.k + i)])
                << to_text(format) << ' ' << layout->name << ' ' << source << ' ' << i;
          }
        }
      }
    }
  }
}

/// Products of a weight whatever its layout: the same bits, near those of its floats.
TEST(WeightFormats, GiveTheSameProductsFromEveryLayout) {
  constexpr int32_t rows = 3, n = 2 * 21, k = 75;
  for (const WeightFormat& format : all_kinds()) {
    for (const Activation activation : {Activation::none, Activation::silu_gate}) {
      const Linear::Problem problem{n, k, format, format.activation, DType::f32, true, false, activation};
      Rows input = Rows::whole(format.activation, rows, k);
      std::mt19937_64 random(3);
      input.fill_random(random);
      const std::vector<float> scales{0.5f, 0.25f, 2};
      std::vector<float> bias(n);
      std::iota(bias.begin(), bias.end(), -20.0f);
      std::vector<std::byte> first;
      for (const WeightLayout* layout : weight_layouts()) {
        random.seed(11);
        RandomWeight weight(problem.weight(), random, *layout);
        const std::vector<float> packed_bias = pack_bias(*layout, problem.weight(), bias);
        Rows output = Rows::whole(DType::f32, rows, problem.output_width());
        const Linear::Args args{
            rows, input.data(),  input.stride,  scales.data(), weight.packed(), packed_bias.data(), nullptr,
            0,    output.data(), output.stride, true};
        Linear::reference(problem, args, *layout);
        const std::vector<std::byte> bytes(output.data(), output.data() + output.bytes.size());
        if (first.empty()) first = bytes;
        EXPECT_EQ(bytes, first) << to_text(format) << ' ' << layout->name;
        for (int32_t row = 0; row < rows && activation == Activation::none; ++row) {
          const double scale = format.multiplies_codes() ? scales[static_cast<size_t>(row)] : 1;
          for (int32_t j = 0; j < n; ++j) {
            const BoundedSum wanted = bound_product(
                format, DType::f32, k, scale, [&](int64_t i) { return input.get(row, i); },
                weight.rows().data() + static_cast<size_t>(j) * k, bias[static_cast<size_t>(j)]);
            EXPECT_NEAR(output.get(row, j), wanted.value, wanted.error) << to_text(format) << ' ' << layout->name;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace incipit
