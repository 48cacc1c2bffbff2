// Walks a tensor in slabs of rows that fit a cache, so that lazily computed weights stay small in memory.
#pragma once

#include <algorithm>
#include <cstdint>

namespace incipit {

/// Calls body(first, count) over all rows, about 2^18 elements at a time: enough to outweigh the calls, small enough to
/// stay in a cache. Nothing for an empty tensor.
template <typename Body>
void for_each_slab(int64_t rows, int64_t row_elements, Body&& body) {
  if (row_elements == 0) return;
  const int64_t step = std::max<int64_t>(1, (int64_t{1} << 18) / row_elements);
  for (int64_t first = 0; first < rows; first += step) body(first, std::min(step, rows - first));
}

}  // namespace incipit
