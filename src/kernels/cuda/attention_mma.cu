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

/// Writes a page's sums to the workspace, from a block's first row on. Where a context is split every warp does this
/// once or twice: the loop is short, as code that is not in the instruction cache costs more than the work.
static void leave_page(const RowBlock& block, const PageWeights<1>& weights, uint32_t values, float* to, int32_t lane) {
  float* rows[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int32_t row = 8 * half + lane / 4;
    rows[half] = row < block.rows() ? to + row * shape.sum_row() : nullptr;
    if (rows[half] == nullptr || lane % 4 != 0) continue;
    *reinterpret_cast<float2*>(rows[half] + head_dim) = float2{weights.largest[0][half], weights.total[0][half]};
  }
#pragma unroll 1
  for (int dims = 0; dims < dim_tiles; dims += 2) {
    float sums[1][2][4];
    multiply_values(weights, values, dims, sums);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (rows[half] == nullptr) continue;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        *reinterpret_cast<float2*>(rows[half] + 8 * (dims + i) + 2 * (lane & 3)) =
            float2{sums[0][i][2 * half], sums[0][i][2 * half + 1]};
      }
    }
  }
}

/// Adds the sums of a block's pages in order, as add_page() does, a row after the other.
static void merge_rows(const AttentionParams& params, const RowBlock& block, const float* from, int64_t page_step,
                       int32_t pages, int32_t lane) {
  constexpr int parts = (head_dim + 63) / 64;  // a lane has two dims of every 64
  constexpr int at_once = parts > 2 ? 4 : 8;
#pragma unroll 1
  for (int32_t row = 0; row < block.rows(); ++row, from += shape.sum_row()) {
    float largest = no_score, total = 0, sums[parts][2] = {};
#pragma unroll 1
    for (int32_t first = 0; first < pages; first += at_once) {
      float2 values[at_once][parts], last[at_once];
#pragma unroll
      for (int i = 0; i < at_once; ++i) {
        // Behind the last page there is nothing to add.
        const float* page = from + (first + i) * page_step;
        const bool is_page = first + i < pages;
        last[i] = is_page ? __ldcg(reinterpret_cast<const float2*>(page + head_dim)) : float2{no_score, 0};
#pragma unroll
        for (int part = 0; part < parts; ++part) {
          const int32_t dim = 64 * part + 2 * lane;
          values[i][part] =
              is_page && dim < head_dim ? __ldcg(reinterpret_cast<const float2*>(page + dim)) : float2{0, 0};
        }
      }
#pragma unroll
      for (int i = 0; i < at_once; ++i) {
        const Addition addition = add_totals(largest, total, last[i].x, last[i].y);
#pragma unroll
        for (int part = 0; part < parts; ++part) {
          sums[part][0] = add_value(sums[part][0], values[i][part].x, addition);
          sums[part][1] = add_value(sums[part][1], values[i][part].y, addition);
        }
      }
    }
    const int32_t head = block.head(row);
    const float factor = factor_of(params, total, largest, head);
#pragma unroll
    for (int part = 0; part < parts; ++part) {
      const int32_t dim = 64 * part + 2 * lane;
      if (dim >= head_dim) continue;
      store_pair(params, block.query_of(row), head * head_dim + dim, sums[part][0] * factor, sums[part][1] * factor);
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
  // In the workspace: [KV head][page][row].
  const int32_t rows_of_share = share.queries.count * block.group.heads;
  const int64_t page_step = int64_t{rows_of_share} * shape.sum_row();
  float* const sums_at =
      reinterpret_cast<float*>(params.workspace + shape.counter_bytes) +
      (place.slots + int64_t{block.kv_head} * share.pages * rows_of_share + first_query * block.group.heads) *
          shape.sum_row();
  RowSums<1> sums;
  sums.begin();
  for (int32_t page = first_page; page < end_page; ++page) {
    PageWeights<1> weights;
    wait_for_copy_groups<1>();
    __syncwarp();
    {
      float scores[1][key_tiles][4];
      multiply_keys<1, 2>(queries, shape.piece_rows * row_bytes, keys, scores);
      __syncwarp();
      if (page + 1 < end_page) pages.copy<PageRows, warp_size>(page + 1, false, keys, lane);
      end_copy_group();
      weigh<1>(params, rows, page * page_tokens, scores, weights);
    }
    wait_for_copy_groups<1>();
    __syncwarp();
    if (is_split) {
      leave_page(block, weights, values, sums_at + (page - share.first_page) * page_step, lane);
    } else {
      add_page<1>(weights, values, sums);
    }
    __syncwarp();
    if (page + 1 < end_page) pages.copy<PageRows, warp_size>(page + 1, true, values, lane);
    end_copy_group();
  }
  if (is_split) {
    // The last part of the block to be done adds up all of them.
    __threadfence();
    __syncwarp();
    uint32_t done = 0;
    if (lane == 0) {
      uint32_t* meeting = counter(params, first_meeting + place.meetings + block.kv_head * share.blocks + block_index);
      done = atomicAdd(meeting, 1U) + 1;
      if (done == static_cast<uint32_t>(parts)) *meeting = 0;
    }
    if (__shfl_sync(all_lanes, done, 0) < static_cast<uint32_t>(parts)) return;
    __threadfence();
    merge_rows(params, block, sums_at, page_step, share.pages, lane);
  } else {
    store_rows<1>(params, block, 0, lane, sums);
  }
  if (block.kv_head == params.kv_heads - 1) store_pads(params, block.first, block.queries, lane, warp_size);
  __syncwarp();
}

extern "C" __global__ void __launch_bounds__(threads, 2) attention_mma(const __grid_constant__ AttentionParams params) {
  extern __shared__ uint4 shared_memory[];
  __shared__ Work work;
  __shared__ int32_t tile_of_block;
  char* const shared = reinterpret_cast<char*>(shared_memory);
  const int32_t thread = static_cast<int32_t>(threadIdx.x), lane = thread % warp_size, warp = thread / warp_size;
  const int32_t blocks = static_cast<int32_t>(gridDim.x), block = static_cast<int32_t>(blockIdx.x);
  Sharing sharing(params, work);
  // A step's counts, spans and positions are no launch's results: they can be read while predecessors run.
  if (warp == 0) sharing.begin(blocks, params.split_warps);
  __syncthreads();
  wait_for_predecessors();

  const bool counts = params.workspace_bytes > shape.counter_bytes;
  const auto next = [&](Counter of, int32_t last, int32_t step) {
    return counts ? step + static_cast<int32_t>(atomicAdd(counter(params, of), 1U)) : last + step;
  };

  // The longest tiles come first. Of two blocks on a multiprocessor, `blocks` / 2 apart, one begins at either end.
  int32_t tile = block < blocks / 2 ? block : blocks + blocks / 2 - 1 - block;
  while (tile < work.tiles) {
    if (work.small_tiles) {
      compute_tile<1>(params, sharing, tile, shared);
    } else {
      compute_tile<shape.warp_tiles()>(params, sharing, tile, shared);
    }
    __syncthreads();
    if (work.tiles <= blocks) break;
    if (thread == 0) tile_of_block = next(next_tile, tile, blocks);
    __syncthreads();
    tile = tile_of_block;
  }

  const int32_t workers = blocks * params.split_warps;
  if (warp < params.split_warps) {
    for (int32_t piece = block + warp * blocks; piece < work.pieces;) {
      compute_piece(params, sharing, piece, shared + warp * shape.warp_bytes());
      if (work.pieces <= workers) break;
      piece = __shfl_sync(all_lanes, lane == 0 ? next(next_piece, piece, workers) : 0, 0);
    }
  }

  if (!counts || (work.tiles <= blocks && work.pieces <= workers)) return;
  __syncthreads();
  if (thread != 0) return;
  if (atomicAdd(counter(params, finished_blocks), 1U) + 1 == static_cast<uint32_t>(blocks)) {
    *counter(params, next_tile) = *counter(params, next_piece) = *counter(params, finished_blocks) = 0;
  }
}
