// Parameters of rms_norm.cu.
#pragma once

#include "kernels/cuda/row_team_params.h"

namespace incipit {

struct RmsNormParams {
  RowTeamParams team;
  const float* input;
  int64_t input_stride;
  const float* addend;
  int64_t addend_stride;
  const float* gain;
  float* sum;
  int64_t sum_stride;
  int32_t padded_sum_width;
  void* output;
  int64_t output_stride;
  int32_t padded_width;
  float* scales;
  float epsilon;
};

}  // namespace incipit
