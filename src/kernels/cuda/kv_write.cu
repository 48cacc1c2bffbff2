// KvWrite (kernels/attention_families.h) to pages of rows: a thread has an item (rotation.cuh) of a token's keys or
// values. INPUT and CACHE are the types of elements; INTERLEAVED: pairs are neighbours.
#include "kernels/cuda/kv_write_params.h"
#include "kernels/cuda/rotation.cuh"

using namespace incipit;

/// The sequence that a token belongs to, which each warp looks for; -1: none.
inline int32_t sequence_of(const SequenceSpan* spans, int32_t sequences, int32_t token) {
  for (int32_t first = 0; first < sequences; first += warp_size) {
    const int32_t sequence = first + static_cast<int32_t>(threadIdx.x % warp_size);
    const bool is_in = sequence < sequences && token >= spans[sequence].first_token &&
                       token - spans[sequence].first_token < spans[sequence].tokens;
    const unsigned found = __ballot_sync(all_lanes, is_in);
    if (found != 0) return first + __ffs(static_cast<int>(found)) - 1;
  }
  return -1;
}

extern "C" __global__ void kv_write(const __grid_constant__ KvWriteParams params) {
  const auto row = static_cast<int32_t>(blockIdx.x);
  if (!starts_row(params.counts, row)) return;
  const int32_t key_items = rotation_items(params.head_dim, params.rotary_pairs);
  const int32_t value_items = rotation_items(params.head_dim, 0);
  auto index = static_cast<int32_t>(blockIdx.y * blockDim.x + threadIdx.x);
  const bool is_key = index < params.kv_heads * key_items;
  if (!is_key) index -= params.kv_heads * key_items;
  const int32_t items = is_key ? key_items : value_items, head = index / items;
  const bool has_item = head < params.kv_heads;

  // What is written is fetched before the place for it is looked up.
  RotationItem item;
  if (has_item) {
    const auto* from = is_key ? static_cast<const INPUT*>(params.keys) + row * params.key_stride
                              : static_cast<const INPUT*>(params.values) + row * params.value_stride;
    item = load_rotated<INTERLEAVED>(from + head * params.head_dim, params.table + row * params.table_stride,
                                     params.head_dim, is_key ? params.rotary_pairs : 0, index % items, params.aligned);
  }
  const int32_t sequences = params.counts.counts == nullptr ? params.sequences : params.counts.counts->sequences;
  const int32_t sequence = sequence_of(params.spans, sequences, row);
  if (sequence < 0 || !has_item) return;
  const SequenceSpan& span = params.spans[sequence];
  const int32_t position = span.first_position + row - span.first_token;
  std::byte* to = params.cache.page(sequence, position / params.page_tokens) + head * params.head_bytes +
                  (is_key ? 0 : params.half_bytes);
  item.store(reinterpret_cast<CACHE*>(to) + position % params.page_tokens * params.head_dim, params.aligned);
}
