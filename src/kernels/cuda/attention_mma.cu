// Attention (kernels/attention_families.h) over bf16 and f16 caches, by warps' matrix products: FlashAttention-2 (Dao,
// arXiv:2307.08691) for chunks of prompts, contexts split over the device for single tokens (Dao et al.,
// "Flash-Decoding for long-context inference", 2023), in one launch (attention_work.cuh).
//
// QUERY, CACHE, OUTPUT are element types, HEAD_DIM a multiple of 16; SOFT_CAP and SLOPES say whether there are any.
#include "kernels/cuda/attention_work.cuh"

using namespace incipit;

constexpr int threads = shape.warps() * warp_size;

/// Query rows for one KV head, of one sequence.
struct RowBlock {
  SequenceSpan span;
  int32_t sequence, kv_head;
  int32_t first, queries;  // on the launch's axis
  Group group;

  int32_t rows() const { return queries * group.heads; }
  int32_t position(const AttentionParams& params, int32_t row) const {
    return position_of(params, span, query_of(row));
  }
  int32_t head(int32_t row) const { return kv_head * group.heads + row - group.query_of(row) * group.heads; }
  int32_t query_of(int32_t row) const { return first + group.query_of(row); }
  const QUERY* query(const AttentionParams& params, int32_t row) const {
    return static_cast<const QUERY*>(params.query) + query_of(row) * params.query_stride + head(row) * head_dim;
  }
};

/// Copies queries into shared memory, dim by dim.
template <int rows, int threads_of>
__noinline__ static void load_queries_by_dims(const AttentionParams& params, const RowBlock& block, char* shared,
                                              int32_t thread) {
#pragma unroll 1
  for (int32_t index = thread; index < block.rows() * head_dim; index += threads_of) {
    const int32_t row = index / head_dim, dim = index % head_dim;
    const int64_t query = block.query_of(row);
    const auto* head = block.query(params, row);
    uint32_t words[terms];
    Unit::split(rotated_dim(params, head, params.table + query * params.table_stride, dim), 0, words);
#pragma unroll
    for (int term = 0; term < terms; ++term) {
      char* to = shared + term * rows * row_bytes + chunk_at(row, dim / 8) + dim % 8 * 2;
      *reinterpret_cast<uint16_t*>(to) = static_cast<uint16_t>(words[term]);
    }
  }
}

/// Copies queries into shared memory; rows behind the last are zeros.
template <int rows, int threads_of>
static void load_queries(const AttentionParams& params, const RowBlock& block, char* shared, int32_t thread) {
  constexpr int32_t term_bytes = rows * row_bytes;
  if (!params.query_in_chunks) load_queries_by_dims<rows, threads_of>(params, block, shared, thread);
#pragma unroll 2
  for (int32_t index = thread; index < rows * row_chunks; index += threads_of) {
    const int32_t row = index / row_chunks, chunk = index % row_chunks;
    float values[8] = {};
    if (row < block.rows()) {
      if (!params.query_in_chunks) continue;
      const int64_t query = block.query_of(row);
      load_query_chunk(params, block.query(params, row), params.table + query * params.table_stride, 8 * chunk, values);
    }
    store_query_chunk(values, shared, term_bytes, chunk_at(row, chunk));
  }
}

template <int tiles>
static WarpRows<tiles> rows_of_warp(const AttentionParams& params, const RowBlock& block, int32_t first, int32_t lane) {
  WarpRows<tiles> rows;
#pragma unroll
  for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int32_t row = first + 16 * tile + 8 * half + lane / 4;
      const bool is_row = row < block.rows();
      rows.position[tile][half] = is_row ? block.position(params, row) : -1;
      rows.slope[tile][half] = 0;
#if SLOPES
      if (is_row) rows.slope[tile][half] = params.slopes[block.head(row)] * log2_e;
#endif
    }
  }
  const int32_t end = min(first + 16 * tiles, block.rows());
  if (first < end) {
    rows.earliest = block.position(params, first);
    rows.last = block.position(params, end - 1);
  }
  return rows;
}

/// The pages of a sequence's context for one KV head. A lane holds the number of one in 32.
class Pages {
 public:
  Pages(const AttentionParams& params, const RowBlock& block, int32_t first)
      : params_(params),
        table_(params.cache.page_tables + int64_t{block.sequence} * params.cache.table_stride),
        first_byte_(params.cache.layer_offset + int64_t{block.kv_head} * 4 * page_tokens * head_dim),
        written_(block.span.first_position + block.span.tokens),
        end_(written_ / page_tokens + 1) {
    load(first);
  }

  /// Copies a page's keys or values; what was not written becomes zeros.
  template <int threads_of>
  void copy(int32_t page, bool values, uint32_t shared, int32_t thread) {
    if (page >= loaded_ + warp_size) load(page);
    const int32_t number = __shfl_sync(all_lanes, number_, page - loaded_);
    const auto* from =
        reinterpret_cast<const CACHE*>(params_.cache.pool + number * params_.cache.page_bytes + first_byte_);
    copy_page<threads_of>(shared, from + (values ? page_tokens * head_dim : 0), written_ - page * page_tokens, thread);
  }

 private:
  void load(int32_t first) {
    const int32_t page = first + static_cast<int32_t>(threadIdx.x) % warp_size;
    loaded_ = first;
    number_ = page < end_ && page < params_.cache.table_stride ? table_[page] : 0;
  }

  const AttentionParams& params_;
  const int32_t* table_;
  int64_t first_byte_;
  int32_t written_, end_;
  int32_t loaded_, number_;
};

static void store_pair(const AttentionParams& params, int64_t row, int32_t column, float first, float second) {
  auto* to = static_cast<OUTPUT*>(params.output) + row * params.output_stride + column;
  const Elements<OUTPUT, 2> pair{from_float<OUTPUT>(first), from_float<OUTPUT>(second)};
  if (params.output_in_pairs) {
    *reinterpret_cast<Elements<OUTPUT, 2>*>(to) = pair;
  } else {
    to[0] = pair.values[0];
    to[1] = pair.values[1];
  }
}

static float factor_of(const AttentionParams& params, float total, float largest, int32_t head) {
  return params.sinks == nullptr ? inverse_total(total, largest)
                                 : inverse_total(total, largest, params.sinks[head] * log2_e);
}

template <int tiles>
static void store_rows(const AttentionParams& params, const RowBlock& block, int32_t first, int32_t lane,
                       const RowSums<tiles>& sums) {
#pragma unroll
  for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int32_t row = first + 16 * tile + 8 * half + lane / 4;
      if (row >= block.rows()) continue;
      const int32_t head = block.head(row);
      const float factor = factor_of(params, sums.total[tile][half], sums.largest[tile][half], head);
#pragma unroll
      for (int dim = 0; dim < dim_tiles; ++dim) {
        store_pair(params, block.query_of(row), head * head_dim + 8 * dim + 2 * (lane & 3),
                   sums.values[tile][dim][2 * half] * factor, sums.values[tile][dim][2 * half + 1] * factor);
      }
    }
  }
}

/// Zeros behind the last head of some queries.
static void store_pads(const AttentionParams& params, int32_t first, int32_t queries, int32_t thread, int32_t step) {
  const int32_t width = params.heads * head_dim, pads = params.padded_width - width;
  for (int32_t i = thread; i < queries * pads; i += step) {
    static_cast<OUTPUT*>(params.output)[(first + i / pads) * params.output_stride + width + i % pads] = OUTPUT{};
  }
}

/// A tile: a block's warps have rows each, and share the pages that go through a ring of buffers, keys and values in
/// turn.
template <int tiles>
static void compute_tile(const AttentionParams& params, Sharing sharing, int32_t item, char* shared) {
  constexpr int rows_of_tile = 16 * tiles * shape.warps();
  constexpr int buffers = shape.buffers();
  const int32_t thread = static_cast<int32_t>(threadIdx.x), lane = thread % warp_size, warp = thread / warp_size;
  const Place place = sharing.find(item, [&](const Share& share) { return share.tiles * params.kv_heads; });
  RowBlock block{params.spans[place.sequence], place.sequence, place.index % params.kv_heads, 0, 0, sharing.group()};
  const Share share = share_of(params, sharing.group(), block.span);
  // The last queries first, which see most.
  const int32_t first_query = (share.tiles - 1 - place.index / params.kv_heads) * sharing.group().tile_queries;
  block.first = share.queries.first + first_query;
  block.queries = min(sharing.group().tile_queries, share.queries.count - first_query);

  const int32_t first_page = first_seen(params, block.position(params, 0)) / page_tokens;
  const int32_t end_page = block.position(params, block.rows() - 1) / page_tokens + 1;
  const uint32_t queries = shared_address(shared), ring = queries + shape.query_bytes(shape.tile_rows());
  Pages pages(params, block, first_page);
  int32_t copied = 2 * first_page, copied_buffer = 0;  // halves of pages
  const auto copy_next = [&] {
    if (copied < 2 * end_page) {
      pages.copy<threads>(copied / 2, copied % 2 != 0, ring + copied_buffer * shape.page_bytes(), thread);
    }
    end_copy_group();
    ++copied;
    copied_buffer = copied_buffer + 1 == buffers ? 0 : copied_buffer + 1;
  };
#pragma unroll
  for (int i = 0; i < buffers - 1; ++i) copy_next();
  load_queries<rows_of_tile, threads>(params, block, shared, thread);

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
  pages.copy<warp_size>(first_page, false, keys, lane);
  end_copy_group();
  pages.copy<warp_size>(first_page, true, values, lane);
  end_copy_group();
  load_queries<shape.piece_rows, warp_size>(params, block, shared, lane);

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
      if (page + 1 < end_page) pages.copy<warp_size>(page + 1, false, keys, lane);
      end_copy_group();
      weigh<1>(params, rows, page * page_tokens, scores, weights);
    }
    wait_for_copy_groups<1>();
    __syncwarp();
    add_page<1>(weights, values, sums);
    __syncwarp();
    if (page + 1 < end_page) pages.copy<warp_size>(page + 1, true, values, lane);
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
