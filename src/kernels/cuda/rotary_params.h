// Parameters of rotary.cu.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch_counts.h"

namespace incipit {

struct RotaryParams {
  LaunchCounts counts;
  const void* input;
  int64_t input_stride;
  const float* table;
  int64_t table_stride;
  void* output;
  int64_t output_stride;
  int32_t heads, head_dim, pairs, padded_width;
  bool aligned;
};

}  // namespace incipit
