// A whole weight packed at once: its codes panel by panel, as a build does it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "kernels/packing.h"

namespace incipit {

/// `codes` [n][k], in the order of the weight, go to `out`, which takes all panels. Returns the sums of codes, where
/// the layout has them.
inline std::vector<int32_t> pack_codes(const WeightLayout& layout, const WeightShape& weight, const std::byte* codes,
                                       std::byte* out) {
  const WeightPacker packer(layout, weight);
  const size_t row_bytes = static_cast<size_t>(weight.k) * size_of(weight.format.codes);
  std::vector<std::byte> rows(static_cast<size_t>(layout.panel) * row_bytes);
  std::vector<int32_t> sums(static_cast<size_t>(packer.shape().panels * packer.sums_a_panel()));
  for (int64_t panel = 0; panel < packer.shape().panels; ++panel) {
    for (int64_t i = 0; i < layout.panel; ++i) {
      const int64_t source = packer.order().source_row(panel * layout.panel + i);
      std::byte* const to = rows.data() + static_cast<size_t>(i) * row_bytes;
      if (source < 0) {
        std::memset(to, 0, row_bytes);
      } else {
        std::memcpy(to, codes + static_cast<size_t>(source) * row_bytes, row_bytes);
      }
    }
    packer.pack_panel(rows.data(), out + panel * packer.shape().panel_bytes,
                      sums.data() + panel * packer.sums_a_panel());
  }
  return sums;
}

/// A value for each output, packed.
inline std::vector<float> pack_bias(const WeightLayout& layout, const WeightShape& weight,
                                    std::span<const float> bias) {
  const std::vector<std::byte> bytes =
      WeightPacker(layout, weight).pack_plane(PlaneRole::bias, DType::f32, std::as_bytes(bias));
  std::vector<float> packed(bytes.size() / sizeof(float));
  std::memcpy(packed.data(), bytes.data(), bytes.size());
  return packed;
}

}  // namespace incipit
