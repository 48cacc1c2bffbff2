// Parameters of gather_rows.cu.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch_counts.h"

namespace incipit {

/// Of a row, that a thread moves.
constexpr int32_t gather_bytes = 16;

struct GatherRowsParams {
  LaunchCounts counts;
  const int32_t* index;
  const void* input;
  int64_t input_stride;
  void* output;
  int64_t output_stride;
  int32_t width, padded_width;  // columns that are written: zeros from `width` on
  bool aligned;                 // rows begin at multiples of 16 bytes
};

}  // namespace incipit
