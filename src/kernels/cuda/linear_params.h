// Parameters of the kernels of Linear: what they multiply, and what becomes of the sums.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch_counts.h"

namespace incipit {

/// From sums to outputs (epilogue.cuh).
struct LinearFinish {
  const float* weight_scales;  // of packed rows, where the format has them
  const float* bias;           // of packed rows, with BIAS
  const float* residual;       // with RESIDUAL
  int64_t residual_stride;
  void* output;
  int64_t output_stride;
  int32_t packed_rows;          // of the weight
  int32_t width, padded_width;  // columns that are written: zeros from `width` on
  bool vectors;                 // rows of output and residual begin at multiples of 16 bytes
};

struct LinearParams {
  LaunchCounts counts;
  const void* input;  // rows begin at multiples of 16 bytes, and are padded with zeros to 64 elements
  int64_t input_stride;
  const float* input_scales;  // of rows of codes
  const void* weight;         // rows of k (k_major8), padded with zeros
  int64_t weight_stride;      // elements
  int32_t k;
  LinearFinish finish;
};

}  // namespace incipit
