// WeightedSum (kernels/families.h): a thread has 4 columns of a row. RESIDUAL: there is one.
#include "kernels/cuda/row_access.cuh"
#include "kernels/cuda/weighted_sum_params.h"

using namespace incipit;

extern "C" __global__ void weighted_sum(const __grid_constant__ WeightedSumParams params) {
  const auto row = static_cast<int32_t>(blockIdx.x);
  if (!starts_row(params.counts, row)) return;
  const auto column = static_cast<int32_t>(blockIdx.y * blockDim.x + threadIdx.x) * 4;
  const float* weight = params.weight + row * params.weight_stride;
  const float* input = params.input + row * params.input_stride;
  float sum[4] = {};
#pragma unroll 4
  for (int32_t slot = 0; slot < params.slots; ++slot, input += params.width) {
    float values[4];
    load_columns(input, column, params.width, params.aligned, values);
#pragma unroll
    for (int i = 0; i < 4; ++i) sum[i] = fmaf(weight[slot], values[i], sum[i]);
  }
#if RESIDUAL
  float residual[4];
  load_columns(params.residual + row * params.residual_stride, column, params.width, params.aligned, residual);
#pragma unroll
  for (int i = 0; i < 4; ++i) sum[i] += residual[i];
#endif
  store_columns(params.output + row * params.output_stride, column, params.width, params.padded_width, params.aligned,
                sum);
}
