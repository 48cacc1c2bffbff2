// GatherRows (kernels/families.h): a block a row. ELEMENT is an unsigned integer of the dtype's size.
#include "kernels/cuda/gather_rows_params.h"
#include "kernels/cuda/prelude.cuh"

using namespace incipit;

extern "C" __global__ void gather_rows(const __grid_constant__ GatherRowsParams params) {
  const int32_t row = static_cast<int32_t>(blockIdx.x);
  if (row >= rows_of(params.counts)) return;
  const auto* from = static_cast<const ELEMENT*>(params.input) + params.index[row] * params.input_stride;
  auto* to = static_cast<ELEMENT*>(params.output) + row * params.output_stride;
  for (int32_t column = static_cast<int32_t>(threadIdx.x); column < params.padded_width; column += blockDim.x) {
    to[column] = column < params.width ? from[column] : ELEMENT{0};
  }
}
