// Attention (kernels/attention_families.h) over bf16 and f16 caches, by warps' matrix products: FlashAttention-2 (Dao,
// arXiv:2307.08691) for chunks of prompts, contexts split over the device for single tokens (Dao et al.,
// "Flash-Decoding for long-context inference", 2023), in one launch (attention_work.cuh).
//
// QUERY, CACHE, OUTPUT are element types, HEAD_DIM a multiple of 16; SOFT_CAP and SLOPES say whether there are any.
#include "kernels/cuda/attention_rows.cuh"

using namespace incipit;

constexpr int threads = shape.warps() * warp_size;

/// A tile: a block's warps have rows each, and share the pages that go through a ring of buffers, keys and values in
/// turn.
template <int tiles>
static void compute_tile(const AttentionParams& params, Sharing sharing, int32_t item, char* shared) {
  constexpr int rows_of_tile = 16 * tiles * shape.warps();
  constexpr int buffers = shape.buffers();
  const int32_t thread = static_cast<int32_t>(threadIdx.x), lane = thread % warp_size, warp = thread / warp_size;
  const RowBlock block = tile_of(params, sharing, item);
  const int32_t first_page = first_seen(params, block.position(params, 0)) / page_tokens;
  const int32_t end_page = block.position(params, block.rows() - 1) / page_tokens + 1;
  const uint32_t queries = shared_address(shared), ring = queries + shape.query_bytes(shape.tile_rows());
  Pages pages(params, block, first_page);
  int32_t copied = 2 * first_page, copied_buffer = 0;  // halves of pages
  const auto copy_next = [&] {
    if (copied < 2 * end_page) {
      pages.copy<PageRows, threads>(copied / 2, copied % 2 != 0, ring + copied_buffer * shape.page_bytes(), thread);
    }
    end_copy_group();
    ++copied;
    copied_buffer = copied_buffer + 1 == buffers ? 0 : copied_buffer + 1;
  };
#pragma unroll
  for (int i = 0; i < buffers - 1; ++i) copy_next();
  load_queries<PageRows, rows_of_tile, threads>(params, block, shared, thread);

  const int32_t first_row = warp * 16 * tiles;
  const WarpRows<tiles> rows = rows_of_warp<tiles>(params, block, first_row, lane);
  RowSums<tiles> sums;
  sums.begin();
  uint32_t buffer = ring;
  const auto next_buffer = [&] {
    wait_for_copy_groups<buffers - 2>();
    __syncthreads();
    copy_next();
  };
  const auto leave_buffer = [&] {
    buffer += shape.page_bytes();
    if (buffer == ring + buffers * shape.page_bytes()) buffer = ring;
  };
  for (int32_t page = first_page; page < end_page; ++page) {
    const int32_t origin = page * page_tokens;
    const bool sees = origin <= rows.last && origin + page_tokens > first_seen(params, rows.earliest);
    PageWeights<tiles> weights;
    next_buffer();
    if (sees) {
      float scores[tiles][key_tiles][4];
      multiply_keys<tiles>(queries + first_row * row_bytes, rows_of_tile * row_bytes, buffer, scores);
      weigh<tiles>(params, rows, origin, scores, weights);
    }
    leave_buffer();
    next_buffer();
    if (sees) add_page<tiles>(weights, buffer, sums);
    leave_buffer();
  }
  store_rows<tiles>(params, block, first_row, lane, sums);
  if (block.kv_head == params.kv_heads - 1) store_pads(params, block.first, block.queries, thread, threads);
}

static uint32_t* counter(const AttentionParams& params, int32_t index) {
  return reinterpret_cast<uint32_t*>(params.workspace) + index;
}

/// The rows of sums that a sequence leaves in the workspace: [KV head][page][row].
static float* sums_of(const AttentionParams& params, const Place& place, const Share& share, int32_t rows,
                      int32_t kv_head, int32_t page, int32_t row) {
  const int64_t index = place.slots + (int64_t{kv_head} * share.pages + page) * rows + row;
  return reinterpret_cast<float*>(params.workspace + shape.counter_bytes) + index * shape.sum_row();
}

/// Writes sums to the workspace, from a block's first row on.
static void leave_sums(const AttentionParams& params, const RowBlock& block, float* to, int32_t lane,
                       const RowSums<1>& sums) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int32_t row = 8 * half + lane / 4;
    if (row >= block.rows()) continue;
    float* const own = to + row * shape.sum_row();
#pragma unroll
    for (int dim = 0; dim < dim_tiles; ++dim) {
      const float* pair = &sums.values[0][dim][2 * half];
      *reinterpret_cast<float2*>(own + 8 * dim + 2 * (lane & 3)) = float2{pair[0], pair[1]};
    }
    if (lane % 4 == 0) {
      *reinterpret_cast<float2*>(own + head_dim) = float2{sums.largest[0][half], sums.total[0][half]};
    }
  }
}

/// A piece: a warp's rows, and keys and values of its own, the next page's under way.
static void compute_piece(const AttentionParams& params, Sharing sharing, int32_t item, char* shared) {
  const int32_t lane = static_cast<int32_t>(threadIdx.x) % warp_size;
  const Place place =
      sharing.find(item, [&](const Share& share) { return share.blocks * sharing.parts(share) * params.kv_heads; });
  RowBlock block{params.spans[place.sequence], place.sequence, 0, 0, 0, sharing.group()};
  const Share share = share_of(params, sharing.group(), block.span);
  const bool is_split = sharing.is_split(share);
  const int32_t parts = sharing.parts(share), part = place.index % parts;
  const int32_t block_index = place.index / parts % share.blocks;
  block.kv_head = place.index / parts / share.blocks;
  const int32_t first_query = block_index * sharing.group().block_queries;
  block.first = share.queries.first + first_query;
  block.queries = min(sharing.group().block_queries, share.queries.count - first_query);

  // Where the context is split every page leaves sums, also one that this block's rows do not see.
  int32_t first_page = first_seen(params, block.position(params, 0)) / page_tokens;
  int32_t end_page = block.position(params, block.rows() - 1) / page_tokens + 1;
  if (is_split) {
    first_page = share.first_page + part * sharing.work().piece_pages;
    end_page = min(first_page + sharing.work().piece_pages, share.first_page + share.pages);
  }
  const uint32_t queries = shared_address(shared);
  const uint32_t keys = queries + shape.query_bytes(shape.piece_rows), values = keys + shape.page_bytes();
  Pages pages(params, block, first_page);
  pages.copy<PageRows, warp_size>(first_page, false, keys, lane);
  end_copy_group();
  pages.copy<PageRows, warp_size>(first_page, true, values, lane);
  end_copy_group();
  load_queries<PageRows, shape.piece_rows, warp_size>(params, block, shared, lane);

  const WarpRows<1> rows = rows_of_warp<1>(params, block, 0, lane);
  const int32_t rows_of_share = share.queries.count * block.group.heads;
  RowSums<1> sums;
  sums.begin();
  for (int32_t page = first_page; page < end_page; ++page) {
    PageWeights<1> weights;
    wait_for_copy_groups<1>();
    __syncwarp();
    {
      float scores[1][key_tiles][4];
      multiply_keys<1>(queries, shape.piece_rows * row_bytes, keys, scores);
      __syncwarp();
      if (page + 1 < end_page) pages.copy<PageRows, warp_size>(page + 1, false, keys, lane);
      end_copy_group();
      weigh<1>(params, rows, page * page_tokens, scores, weights);
    }
    wait_for_copy_groups<1>();
    __syncwarp();
    add_page<1>(weights, values, sums);
    __syncwarp();
    if (page + 1 < end_page) pages.copy<PageRows, warp_size>(page + 1, true, values, lane);
    end_copy_group();
    if (!is_split) continue;
    leave_sums(params, block,
               sums_of(params, place, share, rows_of_share, block.kv_head, page - share.first_page,
                       first_query * block.group.heads),
               lane, sums);
    sums.begin();
  }
  if (is_split) {
    __threadfence();
    __syncwarp();
    if (lane == 0) {
      atomicAdd(counter(params, first_meeting + place.meetings + block.kv_head * share.blocks + block_index), 1U);
    }
    return;
  }
  store_rows<1>(params, block, 0, lane, sums);
  if (block.kv_head == params.kv_heads - 1) store_pads(params, block.first, block.queries, lane, warp_size);
  __syncwarp();
}

/// A merge: adds the sums of a row's pages in order, as add_page() does.
static void merge(const AttentionParams& params, Sharing sharing, int32_t item) {
  const int32_t lane = static_cast<int32_t>(threadIdx.x) % warp_size;
  const Place place = sharing.find(item, [&](const Share& share) { return sharing.merges_of(share); });
  const Group& group = sharing.group();
  const Share share = share_of(params, group, params.spans[place.sequence]);
  const int32_t rows = share.queries.count * group.heads;
  const int32_t row = place.index / merges_a_row % rows, kv_head = place.index / merges_a_row / rows;
  const int32_t dim = place.index % merges_a_row * merged_dims + 2 * lane;

  const int32_t block = row / group.heads / group.block_queries, parts = sharing.parts(share);
  const int32_t meeting = first_meeting + place.meetings + kv_head * share.blocks + block;
  if (lane == 0) {
    const volatile uint32_t* done = counter(params, meeting);
    while (*done < static_cast<uint32_t>(parts)) __nanosleep(40);
    __threadfence();
  }
  __syncwarp();

  const float* from = sums_of(params, place, share, rows, kv_head, 0, row);
  const int64_t page_step = int64_t{rows} * shape.sum_row();
  float largest = no_score, total = 0, sums[2] = {0, 0};
  for (int32_t first = 0; first < share.pages; first += warp_size) {
    float2 last{no_score, 0};
    if (first + lane < share.pages) {
      last = __ldcg(reinterpret_cast<const float2*>(from + (first + lane) * page_step + head_dim));
    }
    constexpr int at_once = 16;
    for (int32_t page = 0; page < min(warp_size, share.pages - first); page += at_once) {
      float2 values[at_once];
#pragma unroll
      for (int i = 0; i < at_once; ++i) {
        values[i] = float2{0, 0};
        if (first + page + i < share.pages && dim < head_dim) {
          values[i] = __ldcg(reinterpret_cast<const float2*>(from + (first + page + i) * page_step + dim));
        }
      }
#pragma unroll
      for (int i = 0; i < at_once; ++i) {  // behind the last page there is nothing to add
        const Addition addition = add_totals(largest, total, __shfl_sync(all_lanes, last.x, page + i),
                                             __shfl_sync(all_lanes, last.y, page + i));
        sums[0] = add_value(sums[0], values[i].x, addition);
        sums[1] = add_value(sums[1], values[i].y, addition);
      }
    }
  }
  const int32_t head = kv_head * group.heads + row % group.heads;
  const int32_t query = share.queries.first + row / group.heads;
  const float factor = factor_of(params, total, largest, head);
  if (dim < head_dim) store_pair(params, query, head * head_dim + dim, sums[0] * factor, sums[1] * factor);
  if (head == params.heads - 1 && dim < merged_dims) store_pads(params, query, 1, lane, warp_size);

  // The last merge behind a meeting makes its counter zero again.
  if (lane == 0) {
    const int32_t queries = min(group.block_queries, share.queries.count - block * group.block_queries);
    const uint32_t all = static_cast<uint32_t>(parts + queries * group.heads * merges_a_row);
    if (atomicAdd(counter(params, meeting), 1U) + 1 == all) *counter(params, meeting) = 0;
  }
  __syncwarp();
}

/// Work items in turn: by a counter in the workspace, else each its own.
class Turns {
 public:
  Turns(const AttentionParams& params, Counter counter_of, int32_t first, int32_t step)
      : params_(params), counter_(counter_of), next_(first), step_(step) {}

  /// For one thread.
  int32_t next() {
    if (params_.workspace_bytes > shape.counter_bytes) {
      return static_cast<int32_t>(atomicAdd(counter(params_, counter_), 1U));
    }
    const int32_t item = next_;
    next_ += step_;
    return item;
  }

 private:
  const AttentionParams& params_;
  Counter counter_;
  int32_t next_, step_;
};

extern "C" __global__ void __launch_bounds__(threads, 2) attention_mma(const __grid_constant__ AttentionParams params) {
  extern __shared__ uint4 shared_memory[];
  __shared__ Work work;
  __shared__ int32_t tile_of_block;
  char* const shared = reinterpret_cast<char*>(shared_memory);
  wait_for_predecessors();
  const int32_t thread = static_cast<int32_t>(threadIdx.x), lane = thread % warp_size, warp = thread / warp_size;
  const int32_t blocks = static_cast<int32_t>(gridDim.x), block = static_cast<int32_t>(blockIdx.x);
  Sharing sharing(params, work);
  if (warp == 0) sharing.begin(blocks, params.split_warps);
  __syncthreads();

  // The longest tiles come first. Of two blocks on a multiprocessor, `blocks` / 2 apart, one begins at either end.
  int32_t tile = block < blocks / 2 ? block : blocks + blocks / 2 - 1 - block;
  Turns more_tiles(params, next_tile, tile + blocks, blocks);
  while (tile < work.tiles) {
    if (work.small_tiles) {
      compute_tile<1>(params, sharing, tile, shared);
    } else {
      compute_tile<shape.warp_tiles()>(params, sharing, tile, shared);
    }
    __syncthreads();
    if (work.tiles <= blocks) break;
    if (thread == 0) {
      tile_of_block = more_tiles.next() + (params.workspace_bytes > shape.counter_bytes ? blocks : 0);
    }
    __syncthreads();
    tile = tile_of_block;
  }

  if (work.pieces > 0) {
    // Every block's first warp before the others, so that a few items go to many multiprocessors.
    Turns turns(params, next_warp_item, block + warp * blocks, blocks * params.split_warps);
    const auto take = [&] { return __shfl_sync(all_lanes, lane == 0 ? turns.next() : 0, 0); };
    int32_t item = warp == 0 ? take() : 0;
    __syncthreads();
    if (warp > 0 && warp < params.split_warps) item = take();
    for (; warp < params.split_warps && item < work.pieces + work.merges; item = take()) {
      if (item < work.pieces) {
        compute_piece(params, sharing, item, shared + warp * shape.warp_bytes());
      } else {
        merge(params, sharing, item - work.pieces);
      }
    }
  }

  if (params.workspace_bytes <= shape.counter_bytes) return;
  __syncthreads();
  if (thread != 0) return;
  if (atomicAdd(counter(params, finished_blocks), 1U) + 1 == static_cast<uint32_t>(blocks)) {
    *counter(params, next_tile) = *counter(params, next_warp_item) = *counter(params, finished_blocks) = 0;
  }
}
