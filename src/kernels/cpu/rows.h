// How row-wise kernels cut a step into tiles, and what they share besides.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/dtype.h"
#include "kernels/kernel.h"
#include "kernels/layout.h"

namespace incipit {

/// The one config of kernels that have nothing to tune.
inline constexpr KernelConfig plain_config[] = {{"plain"}};

template <typename Family>
size_t no_scratch_needed(const typename Family::Problem&, const KernelConfig&, int32_t) {
  return 0;
}

/// Rows of a tile: about 8192 elements, so that a tile outweighs the claim of it; whole rows always.
constexpr int32_t rows_per_tile(int64_t width) {
  return static_cast<int32_t>(std::clamp<int64_t>(8192 / std::max<int64_t>(width, 1), 1, 64));
}

constexpr int64_t row_tiles(int64_t width, int32_t rows) {
  return (rows + rows_per_tile(width) - 1) / rows_per_tile(width);
}

struct RowRange {
  int64_t begin, end;
};
constexpr RowRange rows_of_tile(int64_t width, int32_t rows, int64_t tile) {
  const int64_t begin = tile * rows_per_tile(width);
  return {begin, std::min<int64_t>(begin + rows_per_tile(width), rows)};
}

/// Zeros elements [width, min(row_stride(width), stride)) of a row.
template <typename T>
void zero_padding(T* row, int64_t width, int64_t stride) {
  const int64_t end = std::min(row_stride(width), stride);
  if (end > width) std::memset(static_cast<void*>(row + width), 0, static_cast<size_t>(end - width) * sizeof(T));
}

/// The dtypes that rows of activations have (besides quantised ones).
constexpr bool is_row_dtype(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; }

}  // namespace incipit
