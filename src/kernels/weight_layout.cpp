#include "kernels/weight_layout.h"

#include <algorithm>

#include "base/error.h"

namespace incipit {

int64_t WeightLayout::tile(const WeightFormat& format, int64_t padded_k) const {
  return tile_bytes == 0 ? padded_k : tile_bytes / static_cast<int64_t>(size_of(format.activation));
}

CodePlace place_of_code(const WeightLayout& layout, const WeightFormat& format, int64_t padded_k, int64_t output,
                        int64_t input) {
  if (!format.four_bits) {
    const int64_t tile = layout.tile(format, padded_k);
    return {(input / tile * layout.panel + output) * tile + input % tile};
  }
  if (layout.tile_bytes == 0) {
    const int64_t step = input / 16 % 4, half = input / 8 % 2, lane = input / 2 % 4, neighbour = input % 2;
    const int64_t code = step % 2 * 2 + half + 4 * neighbour;
    return {output * padded_k / 2 + input / 64 * 32 + lane * 8 + step / 2 * 4 + code / 2,
            static_cast<int32_t>(code % 2 * 4)};
  }
  const int64_t apart = layout.halves_apart(format);
  return {(input / (2 * apart) * layout.panel + output) * apart + input % apart,
          static_cast<int32_t>(input / apart % 2 * 4)};
}

std::span<const WeightLayout* const> weight_layouts() {
  static constexpr std::array layouts{&panel16, &k_major8};
  return layouts;
}

const WeightLayout* find_weight_layout(std::string_view name) {
  for (const WeightLayout* layout : weight_layouts()) {
    if (layout->name == name) return layout;
  }
  return nullptr;
}

OutputOrder::OutputOrder(const WeightLayout& layout, int64_t n, const RowPairs& pairs)
    : n_(n),
      block_(layout.pair_block),
      pairs_(pairs),
      padded_half_(round_up(pairs.half, block_)),
      packed_group_(2 * padded_half_ + pairs.beside),
      packed_rows_(round_up(n + pairs.groups * (packed_group_ - pairs.group_rows()), layout.panel)) {
  INCIPIT_ASSERT(pairs.first + pairs.groups * pairs.group_rows() <= n);
}

int64_t OutputOrder::source_row(int64_t packed) const {
  const int64_t at = packed - pairs_.first, paired = pairs_.groups * packed_group_;
  if (at < 0) return packed;
  if (at >= paired) {
    const int64_t source = packed - paired + pairs_.groups * pairs_.group_rows();
    return source < n_ ? source : -1;
  }
  const int64_t first = pairs_.first + at / packed_group_ * pairs_.group_rows(), within = at % packed_group_;
  if (within >= 2 * padded_half_) return first + 2 * pairs_.half + within - 2 * padded_half_;
  const int64_t row = within / (2 * block_) * block_ + within % block_, half = within / block_ % 2;
  if (row >= pairs_.half) return -1;
  return first + (pairs_.neighbours ? 2 * row + half : half * pairs_.half + row);
}

int64_t OutputOrder::packed_row(int64_t source) const {
  const int64_t at = source - pairs_.first, rows = pairs_.group_rows();
  if (at < 0) return source;
  if (at >= pairs_.groups * rows) return source + pairs_.groups * (packed_group_ - rows);
  const int64_t first = pairs_.first + at / rows * packed_group_, within = at % rows;
  if (within >= 2 * pairs_.half) return first + 2 * padded_half_ + within - 2 * pairs_.half;
  const int64_t row = pairs_.neighbours ? within / 2 : within % pairs_.half;
  const int64_t half = pairs_.neighbours ? within % 2 : within / pairs_.half;
  return first + (2 * (row / block_) + half) * block_ + row % block_;
}

PackedShape packed_shape(const WeightLayout& layout, const WeightShape& weight) {
  const int64_t rows = OutputOrder(layout, weight.n, weight.pairs).packed_rows();
  const int64_t row_bytes =
      round_up(weight.format.bytes_of(round_up(weight.k, layout.k_multiple)), layout.row_alignment);
  const int64_t padded_k =
      weight.format.four_bits ? 2 * row_bytes : row_bytes / static_cast<int64_t>(size_of(weight.format.codes));
  return {rows / layout.panel, padded_k, layout.panel * row_bytes};
}

PlaneList planes_of(const WeightLayout& layout, const WeightShape& weight, bool bias) {
  const WeightFormat& format = weight.format;
  const PackedShape shape = packed_shape(layout, weight);
  const int64_t rows = shape.panels * layout.panel;
  const int64_t columns = format.blocks_of_k(weight.k);
  const int64_t blocks = (format.block_n == 1 ? rows : format.blocks_of_n(weight.n)) * columns;
  PlaneList planes;
  const DType bytes_or_codes = format.four_bits ? DType::u8 : format.codes;
  planes.add({format.scales ? PlaneRole::codes : PlaneRole::values, bytes_or_codes,
              shape.bytes() / static_cast<int64_t>(size_of(bytes_or_codes))});
  if (format.scales) planes.add({PlaneRole::scales, *format.scales, blocks});
  if (format.zero_points) planes.add({PlaneRole::zero_points, *format.zero_points, blocks});
  if (layout.has_sums(format)) planes.add({PlaneRole::code_sums, DType::i32, rows * columns});
  if (bias) planes.add({PlaneRole::bias, DType::f32, rows});
  return planes;
}

}  // namespace incipit
