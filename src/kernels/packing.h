// Packs weights into a layout (weight_layout.h) panel by panel, so that a weight larger than memory can stream from its
// checkpoint to the engine; and reads them back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/weight_layout.h"

namespace incipit {

/// Packs one weight. Panels may be packed in any order, each by itself.
class WeightPacker {
 public:
  WeightPacker(const WeightLayout& layout, const WeightShape& weight)
      : layout_(layout),
        weight_(weight),
        order_(layout, weight.n, weight.pairs),
        shape_(packed_shape(layout, weight)) {}

  const OutputOrder& order() const { return order_; }
  const PackedShape& shape() const { return shape_; }

  /// `rows` [panel][k] holds the codes of the panel's rows in packed order, zeros for a pad, those of four bits in
  /// bytes of their own; `out` takes shape().panel_bytes. `code_sums` takes the panel's part of that plane, where the
  /// layout has it.
  void pack_panel(const std::byte* rows, std::byte* out, int32_t* code_sums) const;
  /// The panel's values of code_sums.
  int64_t sums_a_panel() const { return layout_.has_sums(weight_.format) ? layout_.panel * columns() : 0; }
  /// Any other plane, packed, of values in the order of the weight: scales and zero points by block, a bias by output.
  /// Pads are zeros.
  std::vector<std::byte> pack_plane(PlaneRole role, DType dtype, std::span<const std::byte> values) const;

 private:
  int64_t columns() const { return weight_.format.blocks_of_k(weight_.k); }

  const WeightLayout& layout_;
  WeightShape weight_;
  OutputOrder order_;
  PackedShape shape_;
};

/// Reads a packed weight back, for the scalar references and tests. Rows are numbered as in the weight.
class WeightReader {
 public:
  WeightReader(const WeightLayout& layout, const WeightShape& weight, const PackedWeight& packed);

  class Row {
   public:
    /// The row's numbers by input, [k], without their scale: codes less their zero points.
    void read_codes(std::span<double> out) const;
    double scale(int64_t block) const;
    /// Of a plane with one value an output.
    float output_value(const float* plane) const { return plane[packed_row_]; }

   private:
    friend class WeightReader;
    Row(const WeightReader& reader, int64_t row)
        : reader_(reader), row_(row), packed_row_(reader.order_.packed_row(row)) {}
    int64_t index_of_block(int64_t block) const;

    const WeightReader& reader_;
    int64_t row_, packed_row_;
  };
  Row row(int64_t source) const { return {*this, source}; }
  /// The row as floats, [k].
  void read(int64_t source, float* out) const;

 private:
  const WeightLayout& layout_;
  WeightShape weight_;
  PackedWeight packed_;
  OutputOrder order_;
  int64_t padded_k_, panel_bytes_;
};

}  // namespace incipit
