// Weights of random numbers.
#pragma once

#include "kernel_case.h"
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
        const float largest = format.four_bits ? 15 : 100;
        zero_points.set(row, column, format.zero_points ? std::nearbyint(largest * std::abs(real(random))) : 0);
      }
    }
    Rows codes = Rows::view(format.codes, static_cast<int32_t>(weight.n), weight.k, weight.k, 0);
    const bool is_unsigned = format.codes == DType::u8;
    const int least = is_unsigned ? 0 : format.four_bits ? -8 : -127;
    std::uniform_int_distribution<int> code(least, format.four_bits ? least + 15 : is_unsigned ? 255 : 127);
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

}  // namespace incipit
