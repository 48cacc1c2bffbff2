// Attention (kernels/attention_families.h) over bf16 and f16 caches, by warps' matrix products, in tiles of many
// queries: FlashAttention-2 (Dao, arXiv:2307.08691).
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

extern "C" __global__ void __launch_bounds__(threads, 2) attention_mma(const __grid_constant__ AttentionParams params) {
  extern __shared__ uint4 shared_memory[];
  __shared__ Work work;
  __shared__ int32_t tile_of_block;
  char* const shared = reinterpret_cast<char*>(shared_memory);
  const int32_t thread = static_cast<int32_t>(threadIdx.x);
  const int32_t blocks = static_cast<int32_t>(gridDim.x), block = static_cast<int32_t>(blockIdx.x);
  Sharing sharing(params, work);
  // A step's counts, spans and positions are no launch's results: they can be read while predecessors run.
  if (thread < warp_size) sharing.begin_tiles(blocks, shape.tile_rows());
  __syncthreads();
  wait_for_predecessors();

  // The workspace has counters, which are zero between launches: of tiles that were taken, of blocks that are done.
  auto* const counters = reinterpret_cast<uint32_t*>(params.workspace);
  const bool small = shape.warp_tiles() > 1 && work.group.tile_queries * work.group.heads <= shape.tile_rows() / 2;
  // The longest tiles come first. Of two blocks on a multiprocessor, `blocks` / 2 apart, one begins at either end.
  int32_t tile = block < blocks / 2 ? block : blocks + blocks / 2 - 1 - block;
  while (tile < work.tiles) {
    if (small) {
      compute_tile<1>(params, sharing, tile, shared);
    } else {
      compute_tile<shape.warp_tiles()>(params, sharing, tile, shared);
    }
    __syncthreads();
    if (work.tiles <= blocks) return;
    if (thread == 0) {
      tile_of_block = blocks + (counters == nullptr ? tile : static_cast<int32_t>(atomicAdd(&counters[0], 1U)));
    }
    __syncthreads();
    tile = tile_of_block;
  }
  if (counters == nullptr || work.tiles <= blocks || thread != 0) return;
  if (atomicAdd(&counters[1], 1U) + 1 == static_cast<uint32_t>(blocks)) counters[0] = counters[1] = 0;
}
