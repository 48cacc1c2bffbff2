// Parameters of linear_stream.cu.
#pragma once

#include "kernels/cuda/linear_params.h"

namespace incipit {

/// Units of packed rows whose sums a block adds up at once, one by a warp.
constexpr int stream_batch = 4;

struct LinearStreamParams {
  LinearParams linear;
  /// With NORM: the rows whose norm is the input, and what their squares' sum is multiplied by and gets added.
  const float* unnormed;
  int64_t unnormed_stride;
  float inverse_k, epsilon;
  /// A block has as many units of packed rows; the first blocks, of this number, one more.
  int32_t block_units, longer_blocks;
  /// That the ring has, at most RING. The sums of as many as are added up at once lie behind it.
  int32_t ring_units;
};

}  // namespace incipit
