// Parameters of linear_gemv.cu and linear_gemv_fma.cu.
#pragma once

#include "kernels/cuda/linear_params.h"

namespace incipit {

struct LinearGemvParams {
  LinearParams linear;
  /// Of a kernel that quantises its input: rows whose codes a block keeps in shared memory, and bytes between them.
  int32_t kept_rows, kept_stride;
};

}  // namespace incipit
