// RotaryTable (kernels/families.h): a thread has a pair of a row. Angles, cosines and sines are double, as in
// base/rotary.h; it is one launch for all layers.
#include "base/rotary.h"
#include "kernels/cuda/prelude.cuh"
#include "kernels/cuda/rotary_table_params.h"

using namespace incipit;

extern "C" __global__ void rotary_table(const __grid_constant__ RotaryTableParams params) {
  let_successor_start();
  const auto row = static_cast<int32_t>(blockIdx.x);
  const auto pair = static_cast<int32_t>(blockIdx.y * blockDim.x + threadIdx.x);
  const bool has_pair = row < rows_of(params.counts) && pair < params.pairs;
  double factor = 0, sine = 0, cosine = 0;
  if (has_pair) {  // positions are the host's, there before any launch of the step
    const int32_t position = params.positions[row];
    factor = RotaryFactor{params.factor, params.growth, params.growth_length}.at(position);
    sincos(rotary_angle(position, params.inverse_frequencies[pair]), &sine, &cosine);
  }
  wait_for_predecessors();
  if (!has_pair) return;
  float* output = params.output + row * params.output_stride;
  output[pair] = static_cast<float>(factor * cosine);
  output[params.pairs + pair] = static_cast<float>(factor * sine);
}
