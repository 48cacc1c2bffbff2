// Parameters of embedding.cu.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch_counts.h"

namespace incipit {

struct EmbeddingParams {
  LaunchCounts counts;
  const int32_t* ids;
  const void* table;
  int64_t table_stride;
  const float* units;  // of codes: what each row's are multiplied by
  float* output;
  int64_t output_stride;
  int32_t width, padded_width;
  float scale;
  bool aligned;
};

}  // namespace incipit
