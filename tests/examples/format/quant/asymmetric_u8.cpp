// Codes u8 in groups of 16 inputs, with f16 scales and zero points; activations are bf16.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/coded_rows.h"
#include "quant/formats.h"

namespace incipit {
namespace {

constexpr WeightFormat u8_groups{DType::u8, DType::bf16, 1, 16, DType::f16, DType::u8};

/// All at once: only tests quantise by it.
QuantizedConstant quantize_asymmetric(ConstantPtr weight) {
  const int64_t group = u8_groups.block_k, n = weight->rows(), k = weight->row_elements(),
                blocks = u8_groups.blocks_of_k(k);
  std::vector<float> values(static_cast<size_t>(n * k));
  weight->read_floats(0, n, values.data());
  Tensor codes(DType::u8, {n, k}), scales(DType::f16, {n, blocks}), zero_points(DType::u8, {n, blocks});
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t block = 0; block < blocks; ++block) {
      const float* from = values.data() + row * k + block * group;
      const int64_t count = std::min(group, k - block * group);
      const float least = std::min(0.0F, *std::min_element(from, from + count));
      const float most = std::max(0.0F, *std::max_element(from, from + count));
      float scale = rounded_to(DType::f16, (most - least) / 255);
      if (scale == 0) scale = 1;
      const float zero = std::nearbyint(-least / scale);
      for (int64_t i = 0; i < count; ++i) {
        const float code = std::clamp(std::nearbyint(from[i] / scale) + zero, 0.0F, 255.0F);
        codes.as<uint8_t>()[static_cast<size_t>(row * k + block * group + i)] = static_cast<uint8_t>(code);
      }
      const auto at = static_cast<size_t>(row * blocks + block);
      convert_from_float(&scale, DType::f16, scales.data() + at * sizeof(f16), 1);
      zero_points.as<uint8_t>()[at] = static_cast<uint8_t>(std::clamp(zero, 0.0F, 255.0F));
    }
  }
  return {make_constant(std::move(codes)), make_constant(std::move(scales)), make_constant(std::move(zero_points))};
}

}  // namespace

const NamedWeightFormat asymmetric_u8_format{"asymmetric-u8", u8_groups, quantize_asymmetric, 0.1};

}  // namespace incipit
