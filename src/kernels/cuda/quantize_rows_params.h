// Parameters of quantize_rows.cu.
#pragma once

#include "kernels/cuda/row_team_params.h"

namespace incipit {

struct QuantizeRowsParams {
  RowTeamParams team;
  const void* input;
  int64_t input_stride;
  int8_t* output;
  int64_t output_stride;
  int32_t padded_width;
  float* scales;
  int64_t scale_stride;
};

}  // namespace incipit
