// The rotation that Rotary, KvWrite and Attention define.
#pragma once

#include <span>

#include "base/rotary.h"
#include "kernels/reference/elements.h"

namespace incipit {

/// The elements of a head from `first` on, as many as `head` has, the first 2·pairs of them rotated by a table's row:
/// cosines, then sines.
inline void load_rotated(DType dtype, const std::byte* from, int64_t first, const float* table, int64_t pairs,
                         bool interleaved, std::span<float> head) {
  for (size_t dim = 0; dim < head.size(); ++dim) {
    head[dim] = load_element(dtype, from, first + static_cast<int64_t>(dim));
  }
  rotate_head(head, {table, static_cast<size_t>(2 * pairs)}, interleaved);
}

}  // namespace incipit
