// Parameters of rotary_table.cu.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch_counts.h"

namespace incipit {

struct RotaryTableParams {
  LaunchCounts counts;
  const int32_t* positions;
  const float* inverse_frequencies;
  float* output;
  int64_t output_stride;
  int32_t pairs;
  float factor, growth;
  int32_t growth_length;
};

}  // namespace incipit
