// Launches of kernels that work on rows column by column: a block has some columns of one row.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/dtype.h"
#include "kernels/cuda/cuda_entry.h"
#include "kernels/layout.h"

namespace incipit {

constexpr bool is_float_row(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; }

/// Whether all rows of a matrix begin at multiples of 16 bytes.
inline bool aligned_rows(const void* rows, int64_t stride, size_t element_bytes) {
  return reinterpret_cast<uintptr_t>(rows) % 16 == 0 && stride * static_cast<int64_t>(element_bytes) % 16 == 0;
}

/// A thread for each of the `count` items of a row; blocks along x are rows.
inline CudaLaunch items_launch(int32_t rows, int64_t count) {
  CudaLaunch launch;
  launch.threads = static_cast<uint32_t>(std::clamp<int64_t>(round_up(count, 32), 32, 128));
  launch.grid = {static_cast<uint32_t>(rows), static_cast<uint32_t>((count + launch.threads - 1) / launch.threads), 1};
  launch.early = true;
  return launch;
}

}  // namespace incipit
