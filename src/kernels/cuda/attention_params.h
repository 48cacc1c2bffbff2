// Parameters of the attention_*.cu kernels.
#pragma once

#include <cstdint>

#include "kernels/batch.h"
#include "kernels/cuda/launch_counts.h"

namespace incipit {

struct AttentionParams {
  LaunchCounts counts;
  const SequenceSpan* spans;
  PagedCache cache;
  const int32_t* positions;  // of queries that are sampled rows
  const void* query;
  int64_t query_stride;
  void* output;
  int64_t output_stride;
  const float* table;  // of rotations
  int64_t table_stride;
  const float *slopes, *sinks;  // null: none
  std::byte* workspace;         // null: none
  int64_t workspace_bytes;
  int32_t sequences;  // without counts
  int32_t heads, kv_heads, head_dim, window;
  int32_t padded_width;  // columns that are written: zeros from heads · head_dim on
  int32_t rotary_pairs;
  float scale, soft_cap;
  bool interleaved, over_rows;
  // What can be loaded and stored together: eight dims of a query with their rotation, two of an output, 16 bytes of
  // it.
  bool query_in_chunks, output_in_pairs, output_in_chunks;
};

}  // namespace incipit
