// Who computes what in a launch of attention_mma.cu, which has chunks of prompts and single tokens of several
// sequences.
//
//   tile    many query rows of a sequence for one KV head: a block's work, all pages in order
//   piece   up to 16 query rows for one KV head, all of their pages or some: a warp's
//
// Rows are (query, head of the KV head's group) pairs. Pieces that do not have all pages leave each page's sums in the
// workspace, where the last of them to be done adds them up. The workspace begins with counters, which are zero between
// launches: where pieces meet, and what work is next where there is more than blocks and warps.
#pragma once

#include "kernels/cuda/attention_page.cuh"

namespace incipit {

constexpr int most_piece_blocks = 2;  // of a sequence: with more rows it is computed in tiles

/// Places in the workspace.
enum Counter : int32_t { next_tile, next_piece, finished_blocks, first_meeting = 8 };
constexpr int32_t most_meetings = shape.counter_bytes / 4 - first_meeting;

/// A sequence's part of the launch.
struct Share {
  Queries queries{0, 0};
  int32_t tiles = 0, blocks = 0;  // a KV head: of queries, in the one or the other form
  int32_t first_page = 0, pages = 0;
};

struct Group {
  int32_t heads;         // of a KV head
  int32_t tile_queries;  // at most
  int32_t block_queries;
  int32_t inverse;  // of `heads`, times 2^16

  /// row / heads, for the rows of a tile: both are at most 128, which the error of the inverse does not reach.
  int32_t query_of(int32_t row) const { return row * inverse >> 16; }
};

inline Group group_of(const AttentionParams& params, int32_t tile_rows) {
  const int32_t heads = params.heads / params.kv_heads;
  return {heads, tile_rows / heads, shape.piece_rows / heads, (65535 + heads) / heads};
}

inline Share share_of(const AttentionParams& params, const Group& group, const SequenceSpan& span) {
  Share share;
  share.queries = queries_of(params, span);
  const int32_t count = share.queries.count;
  if (count == 0) return share;
  share.first_page = first_seen(params, position_of(params, span, share.queries.first)) / page_tokens;
  share.pages = position_of(params, span, share.queries.first + count - 1) / page_tokens + 1 - share.first_page;
  if (count <= group.block_queries * most_piece_blocks) {
    share.blocks = (count + group.block_queries - 1) / group.block_queries;
  } else {
    share.tiles = (count + group.tile_queries - 1) / group.tile_queries;
  }
  return share;
}

inline int32_t warp_sum(int32_t x) {
  for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(all_lanes, x, distance);
  return x;
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
  int32_t sequences;
  int32_t tiles, pieces;
  int32_t piece_pages;  // of a context that is split: one of more than twice as many
  bool small_tiles;     // of half the rows
  Group group;
};

/// A work item's sequence, and which item of its own it is.
struct Place {
  int32_t sequence = -1, index = 0;
  int32_t slots = 0, meetings = 0;  // that the sequences before have taken
};

class Sharing {
 public:
  Sharing(const AttentionParams& params, Work& work) : params_(params), work_(work) {}

  /// Finds out what there is to do for `blocks` of `warps` that take pieces. For one warp of the block.
  void begin(int32_t blocks, int32_t warps) {
    Work work{sequences_of(params_), 0, 0, 0x7fffffff, false, group_of(params_, shape.tile_rows())};
    int32_t pages = count(work);
    if (shape.warp_tiles() > 1 && work.tiles > 0 && 2 * work.tiles <= blocks &&
        shape.tile_rows() / 2 >= work.group.heads) {
      work.small_tiles = true;
      work.group = group_of(params_, shape.tile_rows() / 2);
      pages = count(work);
    }
    work_ = work;
    __syncwarp();
    if (params_.workspace_bytes > shape.counter_bytes && pages > work.pieces) {
      split((pages + blocks * warps - 1) / (blocks * warps));
    }
  }

  /// The same where all is computed in tiles of up to `rows` rows, or of half of them where blocks would be idle.
  void begin_tiles(int32_t blocks, int32_t rows) {
    Work work{sequences_of(params_), 0, 0, 0x7fffffff, false, group_of(params_, rows)};
    work.group.block_queries = 0;
    count(work);
    if (2 * work.tiles <= blocks && rows / 2 >= work.group.heads) {
      work.group.tile_queries = rows / 2 / work.group.heads;
      count(work);
    }
    work_ = work;
  }

  const Work& work() const { return work_; }
  const Group& group() const { return work_.group; }

  bool is_split(const Share& share) const { return share.blocks > 0 && share.pages / 2 > work_.piece_pages; }
  int32_t parts(const Share& share) const {
    return is_split(share) ? (share.pages + work_.piece_pages - 1) / work_.piece_pages : 1;
  }

  /// Where the `item`th is, of those of which a sequence has count(share).
  template <typename Count>
  Place find(int32_t item, Count count) const {
    const int32_t lane = fresh_lane();
    Place before;
#pragma unroll 1
    for (int32_t first = 0; first < work_.sequences; first += warp_size) {
      Share share;
      if (first + lane < work_.sequences) share = share_of(params_, work_.group, params_.spans[first + lane]);
      const int32_t own = count(share);
      const int32_t slots = slots_of(share), meetings = meetings_of(share);
      const int32_t end = warp_prefix(own, lane);
      const int32_t slots_end = warp_prefix(slots, lane), meetings_end = warp_prefix(meetings, lane);
      const uint32_t behind = __ballot_sync(all_lanes, item < end);
      if (behind != 0) {
        const int owner = __ffs(static_cast<int>(behind)) - 1;
        return {first + owner, item - __shfl_sync(all_lanes, end - own, owner),
                before.slots + __shfl_sync(all_lanes, slots_end - slots, owner),
                before.meetings + __shfl_sync(all_lanes, meetings_end - meetings, owner)};
      }
      item -= __shfl_sync(all_lanes, end, warp_size - 1);
      before.slots += __shfl_sync(all_lanes, slots_end, warp_size - 1);
      before.meetings += __shfl_sync(all_lanes, meetings_end, warp_size - 1);
    }
    return before;
  }

 private:
  /// All of it, in whole contexts; how many pages the pieces have.
  int32_t count(Work& work) const {
    int32_t tiles = 0, blocks = 0, pages = 0;
#pragma unroll 1
    for (int32_t sequence = fresh_lane(); sequence < work.sequences; sequence += warp_size) {
      const Share share = share_of(params_, work.group, params_.spans[sequence]);
      tiles += share.tiles;
      blocks += share.blocks;
      pages += share.blocks * share.pages;
    }
    work.tiles = warp_sum(tiles) * params_.kv_heads;
    work.pieces = warp_sum(blocks) * params_.kv_heads;
    return warp_sum(pages) * params_.kv_heads;
  }

  /// Rows of sums that a sequence leaves in the workspace: [KV head][page][row].
  int32_t slots_of(const Share& share) const {
    return is_split(share) ? params_.kv_heads * share.pages * share.queries.count * work_.group.heads : 0;
  }
  /// Counters of parts that are done: [KV head][block].
  int32_t meetings_of(const Share& share) const { return is_split(share) ? params_.kv_heads * share.blocks : 0; }

  /// Splits contexts, if the workspace holds their sums.
  void split(int32_t piece_pages) {
    const int32_t lane = fresh_lane();
    if (lane == 0) work_.piece_pages = piece_pages;
    __syncwarp();
    int32_t pieces = 0, slots = 0, meetings = 0;
#pragma unroll 1
    for (int32_t sequence = lane; sequence < work_.sequences; sequence += warp_size) {
      const Share share = share_of(params_, work_.group, params_.spans[sequence]);
      pieces += share.blocks * parts(share);
      slots += slots_of(share);
      meetings += meetings_of(share);
    }
    pieces = warp_sum(pieces) * params_.kv_heads;
    const int64_t room = (params_.workspace_bytes - shape.counter_bytes) / (shape.sum_row() * 4);
    const bool fits = warp_sum(slots) <= room && warp_sum(meetings) <= most_meetings;
    if (lane != 0) return;
    if (fits) {
      work_.pieces = pieces;
    } else {
      work_.piece_pages = 0x7fffffff;
    }
  }

  const AttentionParams& params_;
  Work& work_;
};

}  // namespace incipit
