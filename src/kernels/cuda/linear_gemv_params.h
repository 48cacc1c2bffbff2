// Parameters of linear_gemv.cu, linear_gemv_fma.cu and linear_gemv_four_bits.cu.
#pragma once

#include "kernels/cuda/linear_params.h"

namespace incipit {

struct LinearGemvParams {
  LinearParams linear;
  /// Of a kernel that quantises its input: rows whose codes a block keeps in shared memory, and bytes between them.
  int32_t kept_rows, kept_stride;
};

struct LinearFourBitsGemvParams {
  LinearGroupsParams weight;
  int32_t kept_rows, kept_stride;  // rows of activations that a block keeps, and elements between them
};

}  // namespace incipit
