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
  wait_for_predecessors();
  let_successor_start();
  const auto row = static_cast<int32_t>(blockIdx.x);
  if (row >= rows_of(params.counts)) return;
  const int32_t sequences = params.counts.counts == nullptr ? params.sequences : params.counts.counts->sequences;
  const int32_t sequence = sequence_of(params.spans, sequences, row);
  if (sequence < 0) return;
  const SequenceSpan& span = params.spans[sequence];
  const int32_t position = span.first_position + row - span.first_token;
  std::byte* page = params.cache.page(sequence, position / params.page_tokens);
  const int64_t token = position % params.page_tokens * params.head_dim;

  const int32_t key_items = rotation_items(params.head_dim, params.rotary_pairs);
  const int32_t value_items = rotation_items(params.head_dim, 0);
  auto index = static_cast<int32_t>(blockIdx.y * blockDim.x + threadIdx.x);
  if (index < params.kv_heads * key_items) {
    const int32_t head = index / key_items;
    const auto* from = static_cast<const INPUT*>(params.keys) + row * params.key_stride + head * params.head_dim;
    auto* to = reinterpret_cast<CACHE*>(page + head * params.head_bytes) + token;
    rotate_item<INTERLEAVED>(from, to, params.table + row * params.table_stride, params.head_dim, params.rotary_pairs,
                             index % key_items, params.aligned);
    return;
  }
  index -= params.kv_heads * key_items;
  const int32_t head = index / value_items;
  if (head >= params.kv_heads) return;
  const auto* from = static_cast<const INPUT*>(params.values) + row * params.value_stride + head * params.head_dim;
  auto* to = reinterpret_cast<CACHE*>(page + head * params.head_bytes + params.half_bytes) + token;
  rotate_item<INTERLEAVED>(from, to, nullptr, params.head_dim, 0, index % value_items, params.aligned);
}
