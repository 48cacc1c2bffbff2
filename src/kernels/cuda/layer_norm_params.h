// Parameters of layer_norm.cu.
#pragma once

#include "kernels/cuda/row_team_params.h"

namespace incipit {

struct LayerNormParams {
  RowTeamParams team;
  const float* input;
  int64_t input_stride;
  const float* gain;
  const float* bias;
  void* output;
  int64_t output_stride;
  int32_t padded_width;
  float* scales;
  float epsilon;
};

}  // namespace incipit
