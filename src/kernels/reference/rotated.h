// The rotation that Rotary, KvWrite and Attention define.
#pragma once

#include <span>

#include "kernels/reference/elements.h"

namespace incipit {

/// The elements of a head from `first` on, as many as `head` has, the first 2·pairs of them rotated by a table's row:
/// cosines, then sines. Sums are formed in double.
inline void load_rotated(DType dtype, const std::byte* from, int64_t first, const float* table, int64_t pairs,
                         bool interleaved, std::span<float> head) {
  for (size_t dim = 0; dim < head.size(); ++dim) {
    head[dim] = load_element(dtype, from, first + static_cast<int64_t>(dim));
  }
  for (int64_t i = 0; i < pairs; ++i) {
    float& a = head[static_cast<size_t>(interleaved ? 2 * i : i)];
    float& b = head[static_cast<size_t>(interleaved ? 2 * i + 1 : pairs + i)];
    const double x = a, y = b, cosine = table[i], sine = table[pairs + i];
    a = static_cast<float>(x * cosine - y * sine);
    b = static_cast<float>(y * cosine + x * sine);
  }
}

}  // namespace incipit
