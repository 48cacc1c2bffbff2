// GatherRows (kernels/families.h): a thread has 16 bytes of a row. ELEMENT is an unsigned integer of the dtype's size.
#include "kernels/cuda/gather_rows_params.h"
#include "kernels/cuda/prelude.cuh"

using namespace incipit;

extern "C" __global__ void gather_rows(const __grid_constant__ GatherRowsParams params) {
  let_successor_start();
  constexpr int32_t count = gather_bytes / sizeof(ELEMENT);
  const auto row = static_cast<int32_t>(blockIdx.x);
  const bool has_row = row < rows_of(params.counts);
  const int32_t index = has_row ? params.index[row] : 0;  // the host's, there before any launch of the step
  wait_for_predecessors();
  const auto column = static_cast<int32_t>(blockIdx.y * blockDim.x + threadIdx.x) * count;
  if (!has_row || column >= params.padded_width) return;
  const auto* from = static_cast<const ELEMENT*>(params.input) + index * params.input_stride + column;
  auto* to = static_cast<ELEMENT*>(params.output) + row * params.output_stride + column;
  if (params.aligned && column + count <= params.width) {
    *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(from);
    return;
  }
  for (int32_t i = 0; i < count && column + i < params.padded_width; ++i) {
    to[i] = column + i < params.width ? from[i] : ELEMENT{0};
  }
}
