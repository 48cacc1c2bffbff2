// KvWrite (kernels/attention_families.h) to pages of rows: a thread has a few items (rotation.cuh) of a token's keys
// and values. INPUT and CACHE are the types of elements, ITEM_PAIRS the pairs of an item; INTERLEAVED: pairs are
// neighbours.
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

/// Where an item of a token's keys and values is.
struct KvItem {
  bool is_key = false;
  int32_t head = 0, item = 0;  // of the head
  bool is_there = false;

  KvItem(const KvWriteParams& params, int32_t index) {
    const int32_t key_items = rotation_items(params.head_dim, params.rotary_pairs, ITEM_PAIRS);
    is_key = index < params.kv_heads * key_items;
    if (!is_key) index -= params.kv_heads * key_items;
    const int32_t items = is_key ? key_items : rotation_items(params.head_dim, 0, ITEM_PAIRS);
    head = index / items;
    item = index % items;
    is_there = head < params.kv_heads;
  }
};

extern "C" __global__ void kv_write(const __grid_constant__ KvWriteParams params) {
  const auto row = static_cast<int32_t>(blockIdx.x);
  const int32_t sequences = params.counts.counts == nullptr ? params.sequences : params.counts.counts->sequences;
  const bool is_there = row < rows_of(params.counts);
  let_attention_start(sequences);
  wait_for_predecessors();
  let_successor_start();
  if (!is_there) return;

  // What is written is fetched before the place for it is looked up.
  RotationItem items[kv_items_of_thread];
#pragma unroll
  for (int i = 0; i < kv_items_of_thread; ++i) {
    const auto index = static_cast<int32_t>((i * gridDim.y + blockIdx.y) * blockDim.x + threadIdx.x);
    const KvItem place(params, index);
    if (!place.is_there) continue;
    const auto* from = place.is_key ? static_cast<const INPUT*>(params.keys) + row * params.key_stride
                                    : static_cast<const INPUT*>(params.values) + row * params.value_stride;
    items[i] =
        load_rotated<INTERLEAVED>(from + place.head * params.head_dim, params.table + row * params.table_stride,
                                  params.head_dim, place.is_key ? params.rotary_pairs : 0, place.item, params.aligned);
  }

  const int32_t sequence = sequence_of(params.spans, sequences, row);
  if (sequence < 0) return;
  const SequenceSpan& span = params.spans[sequence];
  const int32_t position = span.first_position + row - span.first_token;
  std::byte* page = params.cache.page(sequence, position / params.page_tokens);
  const int64_t first = position % params.page_tokens * params.head_dim;
#pragma unroll
  for (int i = 0; i < kv_items_of_thread; ++i) {
    const auto index = static_cast<int32_t>((i * gridDim.y + blockIdx.y) * blockDim.x + threadIdx.x);
    const KvItem place(params, index);
    if (!place.is_there) continue;
    std::byte* head = page + place.head * params.head_bytes + (place.is_key ? 0 : params.half_bytes);
    items[i].store(reinterpret_cast<CACHE*>(head) + first, params.aligned);
  }
}
