// Rotary (kernels/families.h): a thread has an item (rotation.cuh) of a row's heads. INPUT and OUTPUT are the types of
// elements, ITEM_PAIRS the pairs of an item; INTERLEAVED: pairs are neighbours.
#include "kernels/cuda/rotary_params.h"
#include "kernels/cuda/rotation.cuh"

using namespace incipit;

extern "C" __global__ void rotary(const __grid_constant__ RotaryParams params) {
  const auto row = static_cast<int32_t>(blockIdx.x);
  if (!starts_row(params.counts, row)) return;
  const int32_t items = rotation_items(params.head_dim, params.pairs, ITEM_PAIRS);
  const auto index = static_cast<int32_t>(blockIdx.y * blockDim.x + threadIdx.x);
  const int32_t head = index / items, width = params.heads * params.head_dim;
  auto* output = static_cast<OUTPUT*>(params.output) + row * params.output_stride;
  if (head < params.heads) {
    const auto* input = static_cast<const INPUT*>(params.input) + row * params.input_stride;
    load_rotated<INTERLEAVED>(input + head * params.head_dim, params.table + row * params.table_stride, params.head_dim,
                              params.pairs, index % items, params.aligned)
        .store(output + head * params.head_dim, params.aligned);
  }
  if (blockIdx.y > 0) return;
  for (auto column = width + static_cast<int32_t>(threadIdx.x); column < params.padded_width; column += blockDim.x) {
    output[column] = OUTPUT{};
  }
}
