// The packed layout, element by element.
#include "kernels/packing.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "base/dtype.h"

namespace incipit {
namespace {

TEST(Packing, OrderOfAPlainWeightPadsTheLastPanel) {
  const PanelOrder order{37, false};
  EXPECT_EQ(order.panels(), 3);
  for (int64_t row = 0; row < order.packed_rows(); ++row) EXPECT_EQ(order.source_row(row), row < 37 ? row : -1);
}

TEST(Packing, OrderOfAGatedWeightAlternatesGateAndUp) {
  const PanelOrder order{2 * 20, true};
  EXPECT_EQ(order.panels(), 4);
  EXPECT_EQ(order.source_row(0), 0);        // gate 0
  EXPECT_EQ(order.source_row(16), 20);      // up 0
  EXPECT_EQ(order.source_row(32 + 3), 19);  // gate 19
  EXPECT_EQ(order.source_row(32 + 4), -1);  // a pad of the gate
  EXPECT_EQ(order.source_row(48 + 3), 39);  // up 19
  EXPECT_EQ(order.source_row(48 + 4), -1);
}

TEST(Packing, OrdersInvert) {
  for (const auto& order : {PanelOrder{37, false}, PanelOrder{48, false}, PanelOrder{2 * 20, true},
                            PanelOrder{2 * 32, true}, PanelOrder{2, true}}) {
    int64_t pads = 0;
    for (int64_t row = 0; row < order.packed_rows(); ++row) {
      const int64_t source = order.source_row(row);
      if (source < 0) {
        ++pads;
      } else {
        EXPECT_EQ(order.packed_row(source), row);
      }
    }
    EXPECT_EQ(order.packed_rows() - pads, order.n);
  }
}

TEST(Packing, PanelsHoldGroupsOfInputsSideBySide) {
  constexpr int64_t k = 70;
  std::vector<float> rows(16 * k);
  std::vector<int8_t> codes(16 * k);
  for (int64_t r = 0; r < 16; ++r) {
    for (int64_t i = 0; i < k; ++i) {
      rows[static_cast<size_t>(r * k + i)] = static_cast<float>(r + 16 * (i % 7));  // exact in bf16 and f16
      codes[static_cast<size_t>(r * k + i)] = static_cast<int8_t>(r * 5 - i);
    }
  }
  const PanelPacker f32(WeightFormat::f32, 16, k, false), bf(WeightFormat::bf16, 16, k, false),
      half(WeightFormat::f16, 16, k, false), i8(WeightFormat::i8, 16, k, false);
  EXPECT_EQ(f32.shape().padded_k, 128);
  EXPECT_EQ(f32.shape().panel_bytes, 16 * 128 * 4);
  std::vector<float> f32_panel(16 * 128, -1);
  std::vector<bf16> bf16_panel(16 * 128, bf16{1});
  std::vector<f16> f16_panel(16 * 128, f16{1});
  std::vector<int8_t> i8_panel(16 * 128, -1);
  std::vector<int32_t> sums(16, -1);
  f32.pack_panel(rows.data(), reinterpret_cast<std::byte*>(f32_panel.data()));
  bf.pack_panel(rows.data(), reinterpret_cast<std::byte*>(bf16_panel.data()));
  half.pack_panel(rows.data(), reinterpret_cast<std::byte*>(f16_panel.data()));
  i8.pack_panel_codes(codes.data(), reinterpret_cast<std::byte*>(i8_panel.data()), sums.data());
  for (int64_t r = 0; r < 16; ++r) {
    int32_t sum = 0;
    for (int64_t i = 0; i < 128; ++i) {
      const float value = i < k ? rows[static_cast<size_t>(r * k + i)] : 0;
      const int8_t code = i < k ? codes[static_cast<size_t>(r * k + i)] : int8_t{0};
      sum += code;
      EXPECT_EQ(f32_panel[static_cast<size_t>(i * 16 + r)], value);
      EXPECT_EQ(to_float(bf16_panel[static_cast<size_t>(i / 2 * 32 + r * 2 + i % 2)]), value);
      EXPECT_EQ(to_float(f16_panel[static_cast<size_t>(i * 16 + r)]), value);
      EXPECT_EQ(i8_panel[static_cast<size_t>(i / 4 * 64 + r * 4 + i % 4)], code);
    }
    EXPECT_EQ(sums[static_cast<size_t>(r)], sum);
  }
}

TEST(Packing, UnpacksWhatWasPacked) {
  constexpr int64_t n = 2 * 20, k = 65;
  for (const WeightFormat format : {WeightFormat::f32, WeightFormat::bf16, WeightFormat::f16, WeightFormat::i8}) {
    const PanelPacker packer(format, n, k, true);
    const PanelOrder& order = packer.order();
    std::vector<std::byte> panels(static_cast<size_t>(packer.shape().bytes()));
    std::vector<int32_t> sums(static_cast<size_t>(order.packed_rows()));
    std::vector<float> scales(static_cast<size_t>(n));
    std::iota(scales.begin(), scales.end(), 1.0f);
    const std::vector<float> packed_scales = pack_outputs(order, scales);
    const auto value = [](int64_t row, int64_t input) { return (row * 31 + input * 7) % 120 - 60; };
    for (int64_t p = 0; p < packer.shape().panels; ++p) {
      std::vector<float> rows(16 * k);
      std::vector<int8_t> codes(16 * k);
      for (int64_t r = 0; r < 16; ++r) {
        const int64_t source = order.source_row(p * 16 + r);
        for (int64_t i = 0; i < k && source >= 0; ++i) {
          rows[static_cast<size_t>(r * k + i)] = static_cast<float>(value(source, i));
          codes[static_cast<size_t>(r * k + i)] = static_cast<int8_t>(value(source, i));
        }
      }
      std::byte* out = panels.data() + p * packer.shape().panel_bytes;
      if (format == WeightFormat::i8) {
        packer.pack_panel_codes(codes.data(), out, sums.data() + p * 16);
      } else {
        packer.pack_panel(rows.data(), out);
      }
    }
    std::vector<float> row(k);
    for (int64_t source = 0; source < n; ++source) {
      unpack_row(format, k, {panels.data(), packed_scales.data(), sums.data()}, order.packed_row(source), row.data());
      const float scale = format == WeightFormat::i8 ? scales[static_cast<size_t>(source)] : 1;
      for (int64_t i = 0; i < k; ++i) {
        EXPECT_EQ(row[static_cast<size_t>(i)], static_cast<float>(value(source, i)) * scale);
      }
    }
  }
}

TEST(Packing, OutputsArePermutedAndPadded) {
  const PanelOrder order{2 * 3, true};
  const std::vector<float> packed = pack_outputs(order, std::vector<float>{1, 2, 3, 4, 5, 6});
  ASSERT_EQ(packed.size(), 32u);
  EXPECT_EQ(packed[2], 3);
  EXPECT_EQ(packed[3], 0);
  EXPECT_EQ(packed[16], 4);
  EXPECT_EQ(packed[18], 6);
}

}  // namespace
}  // namespace incipit
