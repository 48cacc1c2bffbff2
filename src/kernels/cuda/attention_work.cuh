// Who computes what in a launch over tiles: many query rows of a sequence for one KV head, which a block computes, all
// pages in order. Rows are (query, head of the KV head's group) pairs.
#pragma once

#include "kernels/cuda/attention_page.cuh"

namespace incipit {

/// A sequence's part of the launch.
struct Share {
  Queries queries{0, 0};
  int32_t tiles = 0;  // a KV head
};

struct Group {
  int32_t heads;         // of a KV head
  int32_t tile_queries;  // at most
  int32_t inverse;       // of `heads`, times 2^16

  /// row / heads, for the rows of a tile: both are at most 128, which the error of the inverse does not reach.
  int32_t query_of(int32_t row) const { return row * inverse >> 16; }
};

inline Group group_of(const AttentionParams& params, int32_t tile_rows) {
  const int32_t heads = params.heads / params.kv_heads;
  return {heads, tile_rows / heads, (65535 + heads) / heads};
}

inline Share share_of(const AttentionParams& params, const Group& group, const SequenceSpan& span) {
  const Queries queries = queries_of(params, span);
  return {queries, (queries.count + group.tile_queries - 1) / group.tile_queries};
}

/// The sum of the lanes up to this one.
inline int32_t warp_prefix(int32_t x, int32_t lane) {
  for (int distance = 1; distance < warp_size; distance *= 2) {
    const int32_t before = __shfl_up_sync(all_lanes, x, distance);
    if (lane >= distance) x += before;
  }
  return x;
}

/// All work of a launch: in shared memory, so that no warp keeps it in registers.
struct Work {
  int32_t sequences, tiles;
  Group group;
};

/// A tile's sequence, and which of its own it is.
struct Place {
  int32_t sequence = -1, index = 0;
};

class Sharing {
 public:
  Sharing(const AttentionParams& params, Work& work) : params_(params), work_(work) {}

  /// Finds out what there is to do for `blocks`, in tiles of up to `rows` rows, or of half of them where blocks would
  /// be idle. For one warp of the block.
  void begin_tiles(int32_t blocks, int32_t rows) {
    Work work{sequences_of(params_), 0, group_of(params_, rows)};
    count(work);
    if (2 * work.tiles <= blocks && rows / 2 >= work.group.heads) {
      work.group.tile_queries = rows / 2 / work.group.heads;
      count(work);
    }
    work_ = work;
  }

  const Work& work() const { return work_; }
  const Group& group() const { return work_.group; }

  /// Where the `item`th tile is.
  Place find(int32_t item) const {
    const int32_t lane = fresh_lane();
#pragma unroll 1
    for (int32_t first = 0; first < work_.sequences; first += warp_size) {
      const int32_t own = first + lane < work_.sequences ? tiles_of(work_, first + lane) : 0;
      const int32_t end = warp_prefix(own, lane);
      const uint32_t behind = __ballot_sync(all_lanes, item < end);
      if (behind != 0) {
        const int owner = __ffs(static_cast<int>(behind)) - 1;
        return {first + owner, item - __shfl_sync(all_lanes, end - own, owner)};
      }
      item -= __shfl_sync(all_lanes, end, warp_size - 1);
    }
    return {};
  }

 private:
  int32_t tiles_of(const Work& work, int32_t sequence) const {
    return share_of(params_, work.group, params_.spans[sequence]).tiles * params_.kv_heads;
  }
  void count(Work& work) const {
    int32_t tiles = 0;
#pragma unroll 1
    for (int32_t sequence = fresh_lane(); sequence < work.sequences; sequence += warp_size) {
      tiles += tiles_of(work, sequence);
    }
    work.tiles = __reduce_add_sync(all_lanes, tiles);
  }

  const AttentionParams& params_;
  Work& work_;
};

}  // namespace incipit
