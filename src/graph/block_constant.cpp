#include "graph/block_constant.h"

#include <algorithm>

#include "graph/slabs.h"

namespace incipit {
namespace {

int64_t code_at(const std::byte* codes, int64_t index, int64_t bits) {
  const auto byte = std::to_integer<int64_t>(codes[index * bits / 8]);
  return byte >> (index * bits % 8) & ((int64_t{1} << bits) - 1);
}

class BlockConstant : public Constant {
 public:
  BlockConstant(Shape shape, DType dtype, BlockCodes parts)
      : Constant(dtype, std::move(shape)), parts_(std::move(parts)) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    read_columns(first, count, 0, row_elements(), out);
  }

  void read_columns(int64_t first, int64_t count, int64_t column, int64_t columns, std::byte* out) const override {
    const size_t row_bytes = static_cast<size_t>(columns) * size_of(dtype());
    for_each_slab(count, columns, [&](int64_t start, int64_t rows) {
      read_slab(first + start, rows, column, columns, out + static_cast<size_t>(start) * row_bytes);
    });
  }

 private:
  void read_slab(int64_t first, int64_t count, int64_t column, int64_t columns, std::byte* out) const {
    const int64_t first_block = column / parts_.block, end_block = (column + columns - 1) / parts_.block + 1;
    const int64_t blocks = end_block - first_block, block_bytes = parts_.block * parts_.bits / 8;
    const int64_t row_blocks = parts_.scales->row_elements();
    std::vector<std::byte> codes(static_cast<size_t>(count * blocks * block_bytes));
    parts_.codes->read_columns(first, count, first_block * block_bytes, blocks * block_bytes, codes.data());
    std::vector<float> scales(static_cast<size_t>(count * row_blocks)), zeros(scales.size());
    parts_.scales->read_floats(first, count, scales.data());
    read_zero_points(first, count, zeros);
    std::vector<float> row(static_cast<size_t>(columns));
    for (int64_t r = 0; r < count; ++r) {
      const std::byte* const line = codes.data() + r * blocks * block_bytes;
      for (int64_t c = 0; c < columns; ++c) {
        const auto block = static_cast<size_t>(r * row_blocks + (column + c) / parts_.block);
        const int64_t code = code_at(line, column + c - first_block * parts_.block, parts_.bits);
        row[static_cast<size_t>(c)] = (static_cast<float>(code) - zeros[block]) * scales[block];
      }
      convert_from_float(row.data(), dtype(), out + static_cast<size_t>(r * columns) * size_of(dtype()), row.size());
    }
  }

  /// One for each scale.
  void read_zero_points(int64_t first, int64_t count, std::vector<float>& zeros) const {
    if (parts_.zero_points == nullptr) {
      std::fill(zeros.begin(), zeros.end(), static_cast<float>(int64_t{1} << (parts_.bits - 1)));
    } else if (parts_.zero_points->dtype() != DType::u8) {
      parts_.zero_points->read_floats(first, count, zeros.data());
    } else {
      const int64_t row_bytes = parts_.zero_points->row_elements(), row_blocks = parts_.scales->row_elements();
      std::vector<std::byte> packed(static_cast<size_t>(count * row_bytes));
      parts_.zero_points->read(first, count, packed.data());
      for (int64_t r = 0; r < count; ++r) {
        for (int64_t block = 0; block < row_blocks; ++block) {
          zeros[static_cast<size_t>(r * row_blocks + block)] =
              static_cast<float>(code_at(packed.data() + r * row_bytes, block, parts_.bits));
        }
      }
    }
  }

  BlockCodes parts_;
};

}  // namespace

ConstantPtr dequantize_blocks(const std::string& thing, BlockCodes parts) {
  const auto require = [&](bool ok, const std::string& fault) {
    if (!ok) throw Error(thing, fault);
  };
  require(parts.bits == 2 || parts.bits == 4 || parts.bits == 8,
          "has codes of " + std::to_string(parts.bits) + " bits, not 2, 4 or 8");
  constexpr int64_t most_columns = int64_t{1} << 40;
  require(parts.block > 0 && parts.block <= most_columns && parts.block * parts.bits % 8 == 0,
          "has blocks of " + std::to_string(parts.block) + " columns");
  require(parts.columns > 0 && parts.columns <= most_columns, "has " + std::to_string(parts.columns) + " columns");
  const int64_t blocks = (parts.columns + parts.block - 1) / parts.block;
  const Shape& codes = parts.codes->shape();
  require(parts.codes->dtype() == DType::u8 && codes.size() == 3 && codes[1] == blocks &&
              codes[2] == parts.block * parts.bits / 8,
          "has codes of another shape than its columns and blocks say");
  const int64_t rows = codes[0];
  require(rows > 0, "has no rows");
  const DType dtype = parts.scales->dtype();
  require(is_floating(dtype) && dtype != DType::f64, "has scales of type " + std::string(name_of(dtype)));
  require(element_count(parts.scales->shape()) == rows * blocks, "has another number of scales than blocks");
  parts.scales = reshape(parts.scales, {rows, blocks});
  if (parts.zero_points != nullptr) {
    const bool is_packed = parts.zero_points->dtype() == DType::u8;
    require(is_packed || is_floating(parts.zero_points->dtype()),
            "has zero points of type " + std::string(name_of(parts.zero_points->dtype())));
    const int64_t of_row = is_packed ? (blocks * parts.bits + 7) / 8 : blocks;
    require(element_count(parts.zero_points->shape()) == rows * of_row,
            "has another number of zero points than blocks");
    parts.zero_points = reshape(parts.zero_points, {rows, of_row});
  }
  const Shape shape{rows, parts.columns};
  element_count(shape);
  return std::make_shared<BlockConstant>(shape, dtype, std::move(parts));
}

}  // namespace incipit
