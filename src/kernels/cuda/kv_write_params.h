// Parameters of kv_write.cu.
#pragma once

#include <cstdint>

#include "kernels/batch.h"
#include "kernels/cuda/launch_counts.h"

namespace incipit {

/// What a thread fetches before it writes any of it.
constexpr int32_t kv_items_of_thread = 2;

struct KvWriteParams {
  LaunchCounts counts;
  int32_t sequences;  // without counts
  const SequenceSpan* spans;
  PagedCache cache;
  int64_t head_bytes, half_bytes;  // KvGeometry's
  const void* keys;
  int64_t key_stride;
  const void* values;
  int64_t value_stride;
  const float* table;
  int64_t table_stride;
  int32_t kv_heads, head_dim, page_tokens, rotary_pairs;
  bool aligned;
};

}  // namespace incipit
