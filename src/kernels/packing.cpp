#include "kernels/packing.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "kernels/reference/elements.h"

namespace incipit {
namespace {

/// A panel's rows of k elements, tile by tile side by side. Whole tiles are copied as one `Tile`, if it is their size.
template <typename Tile>
void copy_tiles(const std::byte* rows, int64_t panel, int64_t row_bytes, std::byte* out) {
  constexpr auto size = static_cast<int64_t>(sizeof(Tile));
  for (int64_t row = 0; row < panel; ++row) {
    const std::byte* from = rows + row * row_bytes;
    std::byte* to = out + row * size;
    int64_t at = 0;
    for (; at + size <= row_bytes; at += size, to += panel * size) std::memcpy(to, from + at, sizeof(Tile));
    std::memcpy(to, from + at, static_cast<size_t>(row_bytes - at));
  }
}

void copy_tiles(const std::byte* rows, int64_t panel, int64_t row_bytes, int64_t tile_bytes, std::byte* out) {
  if (tile_bytes == 4) return copy_tiles<uint32_t>(rows, panel, row_bytes, out);
  if (tile_bytes == 2) return copy_tiles<uint16_t>(rows, panel, row_bytes, out);
  for (int64_t row = 0; row < panel; ++row) {
    for (int64_t at = 0; at < row_bytes; at += tile_bytes) {
      std::memcpy(out + at * panel + row * tile_bytes, rows + row * row_bytes + at,
                  static_cast<size_t>(std::min(tile_bytes, row_bytes - at)));
    }
  }
}

/// A row of k codes, a byte each, as halves of bytes that are zero.
void pack_row_of_halves(const std::byte* row, const WeightLayout& layout, const WeightShape& weight, int offset,
                        std::byte* out) {
  constexpr int64_t block = 64;  // whose places repeat
  std::array<CodePlace, block> places;
  for (int64_t i = 0; i < block; ++i) places[static_cast<size_t>(i)] = place_of_code(layout, weight.format, 0, 0, i);
  for (int64_t first = 0; first < weight.k; first += block, out += block / 2) {
    for (int64_t i = 0; i < std::min(block, weight.k - first); ++i) {
      const CodePlace& place = places[static_cast<size_t>(i)];
      const int code = static_cast<int8_t>(row[first + i]) + offset;
      INCIPIT_ASSERT(code >= 0 && code < 16);
      out[place.element] |= static_cast<std::byte>(code << place.shift);
    }
  }
}

/// A panel's rows of k codes, likewise.
void pack_halves(const std::byte* rows, const WeightLayout& layout, const WeightShape& weight, std::byte* out) {
  const int offset = weight.format.codes == DType::i8 ? four_bits_offset : 0;
  if (layout.tile_bytes == 0) return pack_row_of_halves(rows, layout, weight, offset, out);
  const int64_t apart = layout.halves_apart(weight.format);
  for (int64_t row = 0; row < layout.panel; ++row) {
    std::byte* pair = out + row * apart;
    for (int64_t first = 0; first < weight.k; first += 2 * apart, pair += layout.panel * apart) {
      for (int64_t i = 0; i < std::min(2 * apart, weight.k - first); ++i) {
        const int code = static_cast<int8_t>(rows[row * weight.k + first + i]) + offset;
        INCIPIT_ASSERT(code >= 0 && code < 16);
        pair[i % apart] |= static_cast<std::byte>(code << i / apart * 4);
      }
    }
  }
}

}  // namespace

void WeightPacker::pack_panel(const std::byte* rows, std::byte* out, int32_t* code_sums) const {
  const WeightFormat& format = weight_.format;
  const auto element = static_cast<int64_t>(size_of(format.codes));
  std::memset(out, 0, static_cast<size_t>(shape_.panel_bytes));
  if (format.four_bits) return pack_halves(rows, layout_, weight_, out);
  copy_tiles(rows, layout_.panel, weight_.k * element, layout_.tile(format, shape_.padded_k) * element, out);
  if (sums_a_panel() == 0) return;
  INCIPIT_ASSERT(format.codes == DType::i8);
  std::fill_n(code_sums, sums_a_panel(), 0);
  const auto* codes = reinterpret_cast<const int8_t*>(rows);
  const int64_t block = format.inputs_a_block(weight_.k);
  for (int64_t row = 0; row < layout_.panel; ++row) {
    for (int64_t input = 0; input < weight_.k; ++input) {
      code_sums[input / block * layout_.panel + row] += codes[row * weight_.k + input];
    }
  }
}

std::vector<std::byte> WeightPacker::pack_plane(PlaneRole role, DType dtype, std::span<const std::byte> values) const {
  const bool by_block = role != PlaneRole::bias;
  if (by_block && weight_.format.block_n != 1) return {values.begin(), values.end()};
  const size_t size = size_of(dtype);
  const int64_t width = by_block ? columns() : 1;
  INCIPIT_ASSERT(values.size() == static_cast<size_t>(weight_.n * width) * size);
  std::vector<std::byte> packed(static_cast<size_t>(order_.packed_rows() * width) * size);
  for (int64_t source = 0; source < weight_.n; ++source) {
    const int64_t row = order_.packed_row(source);
    for (int64_t column = 0; column < width; ++column) {
      const int64_t at = (row / layout_.panel * width + column) * layout_.panel + row % layout_.panel;
      std::memcpy(packed.data() + static_cast<size_t>(at) * size,
                  values.data() + static_cast<size_t>(source * width + column) * size, size);
    }
  }
  return packed;
}

WeightReader::WeightReader(const WeightLayout& layout, const WeightShape& weight, const PackedWeight& packed)
    : layout_(layout), weight_(weight), packed_(packed), order_(layout, weight.n, weight.pairs) {
  const PackedShape shape = packed_shape(layout, weight);
  padded_k_ = shape.padded_k;
  panel_bytes_ = shape.panel_bytes;
}

void WeightReader::Row::read_codes(std::span<double> out) const {
  const WeightFormat& format = reader_.weight_.format;
  const WeightLayout& layout = reader_.layout_;
  const int64_t k = reader_.weight_.k;
  const int64_t row = packed_row_ % layout.panel;
  const std::byte* const codes = reader_.packed_.codes + packed_row_ / layout.panel * reader_.panel_bytes_;
  const int64_t offset = format.four_bits && format.codes == DType::i8 ? four_bits_offset : 0;
  // Inputs that lie one behind the other.
  const int64_t run = !format.four_bits        ? layout.tile(format, reader_.padded_k_)
                      : layout.tile_bytes == 0 ? 1
                                               : layout.halves_apart(format);
  for (int64_t first = 0; first < k; first += run) {
    const CodePlace place = place_of_code(layout, format, reader_.padded_k_, row, first);
    const int64_t count = std::min(run, k - first);
    for (int64_t i = 0; i < count; ++i) {
      double& code = out[static_cast<size_t>(first + i)];
      if (format.four_bits) {
        code = std::to_integer<int>(codes[place.element + i] >> place.shift & std::byte{15});
        code -= static_cast<double>(offset);
      } else {
        code = load_element(format.codes, codes, place.element + i);
      }
    }
  }
  if (!format.zero_points) return;
  const int64_t block = format.inputs_a_block(k);
  for (int64_t first = 0, b = 0; first < k; first += block, ++b) {
    const double zero = load_element(*format.zero_points, reader_.packed_.zero_points, index_of_block(b));
    for (int64_t i = first; i < std::min(first + block, k); ++i) out[static_cast<size_t>(i)] -= zero;
  }
}

double WeightReader::Row::scale(int64_t block) const {
  return load_element(*reader_.weight_.format.scales, reader_.packed_.scales, index_of_block(block));
}

int64_t WeightReader::Row::index_of_block(int64_t block) const {
  const WeightFormat& format = reader_.weight_.format;
  const int64_t columns = format.blocks_of_k(reader_.weight_.k), panel = reader_.layout_.panel;
  if (format.block_n == 1) return (packed_row_ / panel * columns + block) * panel + packed_row_ % panel;
  return (format.block_n == 0 ? 0 : row_ / format.block_n) * columns + block;
}

void WeightReader::read(int64_t source, float* out) const {
  const Row from = row(source);
  const int64_t block = weight_.format.inputs_a_block(weight_.k);
  std::vector<double> codes(static_cast<size_t>(weight_.k));
  from.read_codes(codes);
  for (int64_t input = 0; input < weight_.k; ++input) {
    // The product of two floats is exact in double: rounded once.
    const double scale = weight_.format.scales ? from.scale(input / block) : 1;
    out[input] = static_cast<float>(codes[static_cast<size_t>(input)] * scale);
  }
}

}  // namespace incipit
