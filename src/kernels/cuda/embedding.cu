// Embedding and PackedEmbedding (kernels/families.h): a thread has 8 columns of a row. TABLE is the type of the table's
// elements; with UNITS they are codes.
#include "kernels/cuda/embedding_params.h"
#include "kernels/cuda/row_access.cuh"

using namespace incipit;

extern "C" __global__ void embedding(const __grid_constant__ EmbeddingParams params) {
  const auto row = static_cast<int32_t>(blockIdx.x);
  if (!starts_row(params.counts, row)) return;
  const auto column = static_cast<int32_t>(blockIdx.y * blockDim.x + threadIdx.x) * 8;
  const int32_t id = params.ids[row];
  const auto* from = static_cast<const TABLE*>(params.table) + id * params.table_stride;
  float values[8];
  load_columns(from, column, params.width, params.aligned, values);
#if UNITS
  const float unit = params.units[id];
#pragma unroll
  for (float& value : values) value *= unit;
#endif
#pragma unroll
  for (float& value : values) value *= params.scale;
  store_floats(params.output + row * params.output_stride, column, params.width, params.padded_width, params.aligned,
               values);
}
