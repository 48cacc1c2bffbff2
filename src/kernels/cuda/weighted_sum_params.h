// Parameters of weighted_sum.cu.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch_counts.h"

namespace incipit {

struct WeightedSumParams {
  LaunchCounts counts;
  const float* input;
  int64_t input_stride;
  const float* weight;
  int64_t weight_stride;
  const float* residual;
  int64_t residual_stride;
  float* output;
  int64_t output_stride;
  int32_t width, padded_width, slots;
  bool aligned;
};

}  // namespace incipit
