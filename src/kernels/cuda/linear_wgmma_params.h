// Parameters of linear_wgmma.cu.
#pragma once

#include <cstdint>

#include "kernels/cuda/linear_params.h"

namespace incipit {

struct LinearWgmmaParams {
  // Maps of the operands, as the copy engine takes them: boxes of 128 bytes of k × the tile's rows.
  alignas(64) unsigned char input_map[128];
  alignas(64) unsigned char weight_map[128];
  alignas(64) unsigned char residual_map[128];  // of rows that finish.vectors says are aligned: 16 columns × the tile's
                                                // rows
  LaunchCounts counts;
  LinearFinish finish;
  int32_t k_blocks;           // of 128 bytes
  const float* input_scales;  // of rows of codes
  WeightGroups groups;        // of codes of four bits
};

}  // namespace incipit
