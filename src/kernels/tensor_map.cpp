#include "kernels/tensor_map.h"

#include <fmt/format.h>

#include <algorithm>

namespace incipit {
namespace {

// Bytes; the driver's.
constexpr int64_t alignment = 16;
constexpr int64_t swizzle_bytes = 128;
constexpr int64_t largest_extent = int64_t{1} << 32;
constexpr int64_t largest_stride = int64_t{1} << 40;
constexpr int32_t largest_box = 256;

}  // namespace

TensorMap rows_map(std::string_view operand, const std::byte* base, DType dtype, int64_t rows, int64_t width,
                   int64_t stride) {
  const auto size = static_cast<int64_t>(size_of(dtype));
  TensorMap map{operand, base, dtype, 2, {width, rows}, {size, stride * size}, {}};
  map.box = {static_cast<int32_t>(swizzle_bytes / size), 64};
  return map;
}

std::string fault_of(const TensorMap& map, uint64_t bytes) {
  if (map.rank < 1 || map.rank > TensorMap::max_rank) return fmt::format("has {} dimensions", map.rank);
  if (reinterpret_cast<uint64_t>(map.base) % alignment != 0) return "does not begin at a multiple of 16 bytes";
  const auto size = static_cast<int64_t>(size_of(map.dtype));
  for (size_t i = 0; i < static_cast<size_t>(map.rank); ++i) {
    if (map.extents[i] < 1 || map.extents[i] > largest_extent) {
      return fmt::format("has the extent {} in dimension {}", map.extents[i], i);
    }
    if (map.box[i] < 1 || map.box[i] > largest_box) {
      return fmt::format("is loaded {} elements at a time in dimension {}, and 1 to 256 can be", map.box[i], i);
    }
    const int64_t stride = map.strides[i];
    if (i > 0 && (stride % alignment != 0 || stride < 0 || stride >= largest_stride)) {
      return fmt::format("has rows {} bytes apart in dimension {}, which is no multiple of 16", stride, i);
    }
  }
  if (map.strides[0] != size) return "has gaps between the elements of a row";
  const int64_t row = map.box[0] * size;
  if (row % alignment != 0 || row > swizzle_bytes) {
    return fmt::format("is loaded {} bytes of a row at a time, and a multiple of 16 up to 128 can be", row);
  }
  // Below 2^75, and a double says exactly enough of whether it fits.
  double end = static_cast<double>(size);
  for (size_t i = 0; i < static_cast<size_t>(map.rank); ++i) {
    end += static_cast<double>(map.extents[i] - 1) * static_cast<double>(map.strides[i]);
  }
  if (end > static_cast<double>(bytes))
    return fmt::format("takes {:.0f} bytes from its base on, and there are {}", end, bytes);
  return {};
}

}  // namespace incipit
