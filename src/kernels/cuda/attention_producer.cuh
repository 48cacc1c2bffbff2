// attention_wgmma.cu's producer: a warp that finds the block's tiles in the step's spans and fills a ring of stages
// with their keys and values. What the producer and the consumers share.
#pragma once

#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/attention_wgmma_params.h"
#include "kernels/cuda/attention_wgmma_shape.h"
#include "kernels/cuda/hopper.cuh"

namespace incipit {

constexpr AttentionWgmmaShape wide{head_dim};
constexpr int group_rows = wide.group_rows, group_threads = 128;
constexpr int block_tokens = wide.block_tokens, block_pages = block_tokens / page_tokens;
constexpr int parts = wide.parts();                                            // of 64 dims
constexpr int query_part = group_rows * 128, part_bytes = block_tokens * 128;  // of queries, and of a stage
constexpr int tile_slots = 2;

/// A tile's queries and the pages that they see. No queries: there are no more tiles.
struct Tile {
  RowBlock block;
  int32_t first_page, end_page;

  int32_t first() const { return first_page / block_pages; }  // of its blocks
  int32_t end() const { return (end_page + block_pages - 1) / block_pages; }
};

/// Shared memory: queries, the ring, and a barrier each for stages that are filled, stages that are free, tiles that
/// are known and places for tiles that are free. Then the tiles.
struct Shared {
  char* at;
  uint32_t base;

  char* queries(int group) const { return at + group * wide.query_bytes(); }
  uint32_t stage(int number) const { return base + wide.consumers * wide.query_bytes() + number * wide.stage_bytes(); }
  uint32_t filled(int number) const { return stage(wide.stages) + 8 * number; }
  uint32_t free(int number) const { return filled(wide.stages + number); }
  uint32_t tile_known(int slot) const { return filled(2 * wide.stages + slot); }
  uint32_t tile_free(int slot) const { return tile_known(tile_slots + slot); }
  Tile& tile(int slot) const {
    return reinterpret_cast<Tile*>(at + wide.shared_bytes() - wide.state_bytes + 256)[slot];
  }
};
using StagePlace = RingPlace<wide.stages>;
using TilePlace = RingPlace<tile_slots>;
static_assert(8 * 2 * (wide.stages + tile_slots) <= 256 && 256 + tile_slots * sizeof(Tile) <= wide.state_bytes);

inline Tile tile_at(const AttentionParams& params, const Sharing& sharing, int32_t item) {
  const RowBlock block = tile_of(params, sharing, item);
  return {block, first_seen(params, block.position(params, 0)) / page_tokens,
          block.position(params, block.rows() - 1) / page_tokens + 1};
}

/// Brings memory into the cache of the multiprocessor.
inline void fetch(const void* address) {
  uint32_t word;
  if (address != nullptr) asm volatile("ld.global.b32 %0, [%1];" : "=r"(word) : "l"(address));
}

/// Fills the ring for a tile: keys of its first block, then of each next one before the values of the one at hand.
inline void fill_ring(const AttentionWgmmaParams& params, const Shared& shared, const Tile& tile, StagePlace& place) {
  const PagedCache& cache = params.attention.cache;
  const int32_t* const table = cache.page_tables + int64_t{tile.block.sequence} * cache.table_stride;
  int32_t found = -warp_size, number = -1;  // the page of each lane, from `found` on
  const int32_t first = tile.first(), loads = 2 * (tile.end() - first);
#pragma unroll 1
  for (int32_t i = 0; i <= loads; ++i) {
    const bool values = i > 0 && i % 2 == 0;
    if (i == loads - 1 && i > 0 && !values) continue;  // there are no next keys
    const int32_t page = (first + (values ? i / 2 - 1 : (i + 1) / 2)) * block_pages;
    if (page + block_pages > found + warp_size) {
      found = max(page - block_pages, first * block_pages);  // the values of the block before are to come
      const int32_t own = found + fresh_lane();
      number = own >= tile.first_page && own < tile.end_page ? table[own] : -1;  // none: the copy engine writes zeros
    }
    const uint32_t filled = shared.filled(place.stage), to = shared.stage(place.stage);
    wait_for_phase(shared.free(place.stage), place.parity);
    if (fresh_lane() == 0) expect_bytes(filled, wide.stage_bytes());
#pragma unroll
    for (int k = 0; k < block_pages; ++k) {
      const int32_t from = __shfl_sync(all_lanes, number, page + k - found);
      if (fresh_lane() != 0) continue;
#pragma unroll
      for (int part = 0; part < parts; ++part) {
        load_box(to + part * part_bytes + k * page_tokens * 128, params.pages_map, filled, 64 * part,
                 (2 * tile.block.kv_head + values) * page_tokens, from);
      }
    }
    place.next();
  }
}

inline void produce(const AttentionWgmmaParams& params, const Sharing& sharing, const Shared& shared) {
  const int32_t blocks = static_cast<int32_t>(gridDim.x), own = static_cast<int32_t>(blockIdx.x);
  StagePlace place;
  TilePlace slot;
  place.parity = slot.parity = 1;  // all are free
  // The longest tiles come first; in every second round the blocks take theirs in the opposite order.
  const auto item_of = [&](int32_t round) { return round * blocks + (round % 2 == 0 ? own : blocks - 1 - own); };
#pragma unroll 1
  for (int32_t round = 0;; ++round, slot.next()) {
    const bool is_tile = item_of(round) < sharing.work().tiles;
    Tile tile{};
    if (is_tile) tile = tile_at(params.attention, sharing, item_of(round));
    wait_for_phase(shared.tile_free(slot.stage), slot.parity);
    if (fresh_lane() == 0) {
      shared.tile(slot.stage) = tile;
      arrive(shared.tile_known(slot.stage));
    }
    if (!is_tile) return;
    wait_for_predecessors();
    fill_ring(params, shared, tile, place);
  }
}

}  // namespace incipit
