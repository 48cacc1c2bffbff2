// Parameters of elementwise.cu.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch_counts.h"

namespace incipit {

struct ElementwiseParams {
  LaunchCounts counts;
  const void* first;
  int64_t first_stride;
  const void* second;
  int64_t second_stride;  // 0 where all rows have one
  void* output;
  int64_t output_stride;
  int32_t width, padded_width;
  float factor;
  bool aligned;
};

}  // namespace incipit
