// Parameters of the kernels of Linear: what they multiply, and what becomes of the sums.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch_counts.h"

namespace incipit {

/// Where a product's last outputs go with CACHE (epilogue_pages.cuh).
struct LinearPages {
  const StepCounts* counts;
  int32_t sequences;  // without counts
  const SequenceSpan* spans;
  PagedCache cache;
  const float* table;  // of cosines and sines; its rows begin at multiples of 8 bytes
  int64_t table_stride;
  int32_t head_bytes, half_bytes;  // KvGeometry's
  int32_t head_dim, page_tokens, rotary_pairs;
  int32_t first_key, first_value;  // packed rows
  uint32_t reciprocal;             // of a head's blocks of 16 rows, times 2^31, rounded up

  /// Of the step whose keys and values are written; none are where there are no pages.
  int32_t step_sequences() const { return counts == nullptr ? sequences : counts->sequences; }
  /// The head of a packed row among those of keys, or values. Exact: there are fewer blocks than 2^27.
  int32_t head_of(int32_t row) const {
    return static_cast<int32_t>(uint64_t{static_cast<uint32_t>(row / 16)} * reciprocal >> 31);
  }
};

/// From sums to outputs (epilogue.cuh).
struct LinearFinish {
  const float* weight_scales;  // of packed rows, where the format has them
  const float* bias;           // of packed rows, with BIAS
  const float* residual;       // with RESIDUAL
  int64_t residual_stride;
  void* output;
  int64_t output_stride;
  int32_t packed_rows;          // of the weight
  int32_t width, padded_width;  // columns that are written: zeros from `width` on
  bool vectors;                 // rows of output and residual begin at multiples of 16 bytes
  LinearPages pages = {};       // with CACHE
};

struct LinearParams {
  LaunchCounts counts;
  const void* input;  // rows begin at multiples of 16 bytes, and are padded with zeros to 64 elements
  int64_t input_stride;
  const float* input_scales;  // of rows of codes
  const void* weight;         // rows of k (k_major8), padded with zeros
  int64_t weight_stride;      // elements
  int32_t k;
  LinearFinish finish;
};

/// Of a weight in codes of four bits: a packed row has a bf16 scale, and a zero point if any, for each group of inputs.
struct WeightGroups {
  const void* scales = nullptr;
  const unsigned char* zero_points = nullptr;
  int32_t count = 0;  // of a row
};

struct LinearGroupsParams {
  LinearParams linear;
  WeightGroups groups;
};

}  // namespace incipit
