// Packs weights into the panel16 layout (layout.h) panel by panel, so that a weight larger than memory can stream
// from its checkpoint to the engine; and reads them back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/layout.h"

namespace incipit {

/// Where outputs go: the row permutation and padding of one weight.
struct PanelOrder {
  int64_t n = 0;       // outputs before padding; gate rows then up rows when gated
  bool gated = false;  // panels alternate gate and up (layout.h)

  int64_t panels() const { return packed_shape(WeightFormat::f32, n, 1, gated).panels; }
  int64_t packed_rows() const { return panels() * panel_width; }
  /// The weight row that packed row `packed` in [0, packed_rows()) holds; -1 for a pad.
  int64_t source_row(int64_t packed) const;
  /// The inverse, for a weight row in [0, n).
  int64_t packed_row(int64_t source) const;
};

/// Byte offset of W[packed row, input] within the packed panels.
constexpr int64_t packed_offset(WeightFormat format, int64_t padded_k, int64_t packed_row, int64_t input) {
  const int64_t group = packing_group(format);
  const int64_t element = (packed_row / panel_width * (padded_k / group) + input / group) * panel_width * group +
                          packed_row % panel_width * group + input % group;
  return element * element_bytes(format);
}

/// Packs one weight [n, k]. Panels may be packed in any order, each by itself.
class PanelPacker {
 public:
  PanelPacker(WeightFormat format, int64_t n, int64_t k, bool gated)
      : format_(format), order_{n, gated}, k_(k), shape_(packed_shape(format, n, k, gated)) {}

  const PanelOrder& order() const { return order_; }
  const PackedShape& shape() const { return shape_; }

  /// Float formats. `rows` [16][k] holds the panel's rows in packed order, zeros for a pad; `out` takes
  /// shape().panel_bytes. bf16 and f16 round to nearest even.
  void pack_panel(const float* rows, std::byte* out) const;
  /// i8 format: `codes` [16][k] likewise; `code_sums` [16] takes each row's sum (PackedWeight::code_sums).
  void pack_panel_codes(const int8_t* codes, std::byte* out, int32_t* code_sums) const;

 private:
  WeightFormat format_;
  PanelOrder order_;
  int64_t k_;
  PackedShape shape_;
};

/// A per-output vector (bias, scales) in packed order, `order.packed_rows()` long, zeros for pads.
std::vector<float> pack_outputs(const PanelOrder& order, std::span<const float> values);

/// W[packed row, 0…k) as floats; i8 codes are multiplied by the row's scale.
void unpack_row(WeightFormat format, int64_t k, const PackedWeight& weight, int64_t packed_row, float* out);

}  // namespace incipit
