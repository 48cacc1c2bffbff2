// Copies of tensors whose elements are found by a stride an axis: what transposes, broadcasts and slices have in
// common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/tensor.h"
#include "primitives/element_types.h"

namespace incipit::primitives {

/// The product of extents [first, end); throws Error on an overflow.
int64_t count_of(const Shape& shape, size_t first, size_t end);
/// How many elements apart neighbours along each axis of a dense tensor are.
std::vector<int64_t> dense_strides(const Shape& shape);

/// Writes a dense tensor of `shape` to `to`: its element (i, j …) is the one that lies i·strides[0] + j·strides[1] + …
/// elements behind `from`. Strides may be 0 or negative.
void copy_strided(const std::byte* from, Shape shape, std::vector<int64_t> strides, size_t element_bytes,
                  std::byte* to);

/// Calls with an unsigned integer of as many bytes as an element has: for code that only moves elements.
template <typename F>
decltype(auto) with_word_type(size_t element_bytes, F&& call) {
  switch (element_bytes) {
    case 1: return call(ElementTag<uint8_t>{});
    case 2: return call(ElementTag<uint16_t>{});
    case 4: return call(ElementTag<uint32_t>{});
    case 8: return call(ElementTag<uint64_t>{});
  }
  INCIPIT_ASSERT(!"element size");
  __builtin_unreachable();
}

}  // namespace incipit::primitives
