// Attention (kernels/attention_families.h) over bf16 caches by warpgroups' matrix products, for many query rows:
// FlashAttention-3 (Shah et al., arXiv:2407.08608) without its producer.
//
// Two warpgroups have 64 rows each and share the pages that go through a ring of buffers: the keys of a page, then the
// values of the page before. The next page's scores are computed while the weights of this one are. Everything is a
// tile (attention_work.cuh), single tokens too. QUERY, CACHE, OUTPUT are element types, HEAD_DIM is 64 or 128.
#define WGMMA_N 64
#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/attention_wgmma_shape.h"
#include "kernels/cuda/wgmma.cuh"

using namespace incipit;

constexpr AttentionWgmmaShape wide{head_dim};
constexpr int threads = wide.warpgroups * 128;
constexpr int group_rows = wide.group_rows;
constexpr int block_bytes = group_rows * 128;  // 64 rows of 64 dims
constexpr int dim_blocks = head_dim / 64;
constexpr int buffers = wide.buffers;

/// 64 rows of 64 dims in the swizzle of 128 bytes, then the same rows' next dims; then the next 64 rows.
struct BlockRows {
  static constexpr int row_bytes = 2 * head_dim;
  static uint32_t at(int32_t row, int32_t chunk) {
    return static_cast<uint32_t>(row / group_rows * wide.operand_bytes() + chunk / 8 * block_bytes +
                                 row % group_rows * 128 + ((chunk ^ row) & 7) * 16);
  }
};

/// d[64 × 64 keys] = queries[64 × 16 dims] · keysᵀ, added to d unless it is the first step.
static void multiply_keys(float (&d)[32], uint64_t queries, uint64_t keys, bool first) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.eq.u32 p, %34, 0;\nwgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
      "{" WGMMA_REGISTERS_64 "}, %32, %33, p, 1, 1, 0, 0;\n}"
      : WGMMA_VALUES_64(d)
      : "l"(queries), "l"(keys), "r"(first ? 1 : 0));
}
/// d[64 × 64 dims] = weights[64 × 16 tokens] · values, which lie as rows of tokens, added to d unless it is the first.
static void multiply_rows(float (&d)[32], const uint32_t* weights, uint64_t values, bool first) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.eq.u32 p, %37, 0;\nwgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
      "{" WGMMA_REGISTERS_64 "}, {%32, %33, %34, %35}, %36, p, 1, 1, 1;\n}"
      : WGMMA_VALUES_64(d)
      : "r"(weights[0]), "r"(weights[1]), "r"(weights[2]), "r"(weights[3]), "l"(values), "r"(first ? 1 : 0));
}

/// No use of them is moved across this place.
static void hold(float (&d)[32]) {
#pragma unroll
  for (float& x : d) asm volatile("" : "+f"(x)::"memory");
}
static void let_products_see_copies() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

using Scores = float[1][key_tiles][4];
static auto& flat(Scores& scores) { return reinterpret_cast<float(&)[32]>(scores); }

/// Starts scores = queries · keysᵀ.
static void start_scores(uint32_t queries, uint32_t keys, Scores& scores) {
  asm volatile("" : "+r"(queries));  // what follows from it is not kept in registers over a loop
  const uint64_t first = operand_at(queries), second = operand_at(keys);
  float sums[32];  // those of before are not kept until then
  begin_products();
#pragma unroll
  for (int step = 0; step < key_steps; ++step) {
    const uint64_t at = (step / 4 * block_bytes + step % 4 * 32) / 16;
    multiply_keys(sums, first + at, second + at, step == 0);
  }
  end_products();
#pragma unroll
  for (int i = 0; i < 32; ++i) flat(scores)[i] = sums[i];
}

/// Adds a page's weighted values to the sums of those before it.
static void add_values(const PageWeights<1>& weights, uint32_t values, RowSums<1>& sums) {
  uint32_t words[token_steps][4];
#pragma unroll
  for (int step = 0; step < token_steps; ++step) {
#pragma unroll
    for (int i = 0; i < 4; ++i) words[step][i] = weights.words[0][step][i][0];
  }
  const uint64_t operand = operand_at(values);
  Addition additions[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    additions[half] =
        add_totals(sums.largest[0][half], sums.total[0][half], weights.largest[0][half], weights.total[0][half]);
  }
#pragma unroll
  for (int block = 0; block < dim_blocks; ++block) {
    float added[32];
    begin_products();
#pragma unroll
    for (int step = 0; step < token_steps; ++step) {
      const uint64_t at = (block * block_bytes + step * 16 * 128) / 16;
      multiply_rows(added, words[step], operand + at, step == 0);
    }
    end_products();
    wait_for_products<0>();
    hold(added);
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      float& sum = sums.values[0][8 * block + i / 4][i % 4];
      sum = add_value(sum, added[i], additions[i % 4 / 2]);
    }
  }
}

/// A tile's queries and the pages that they see.
struct Tile {
  RowBlock block;
  int32_t first_page, end_page;
};

static Tile tile_at(const AttentionParams& params, const Sharing& sharing, int32_t item) {
  const RowBlock block = tile_of(params, sharing, item);
  return {block, first_seen(params, block.position(params, 0)) / page_tokens,
          block.position(params, block.rows() - 1) / page_tokens + 1};
}

/// The copies of a tile's pages into the ring: keys of page 0, keys 1, values 0, keys 2, values 1, …
class Copies {
 public:
  Copies(const AttentionParams& params, const Tile& tile, uint32_t ring)
      : pages_(params, tile.block, tile.first_page),
        first_(tile.first_page),
        end_(tile.end_page),
        begin_(ring),
        to_(ring) {
#pragma unroll 1
    for (int i = 0; i < buffers - 1; ++i) start_next();
  }

  void start_next() {
    const bool values = count_ > 0 && count_ % 2 == 0;
    const int32_t page = first_ + (values ? count_ / 2 - 1 : (count_ + 1) / 2);
    if (page < end_) pages_.copy<BlockRows, threads>(page, values, to_, static_cast<int32_t>(threadIdx.x));
    end_copy_group();
    ++count_;
    to_ += wide.operand_bytes();
    if (to_ == begin_ + buffers * wide.operand_bytes()) to_ = begin_;
  }

 private:
  Pages pages_;
  int32_t first_, end_, count_ = 0;
  uint32_t begin_, to_;
};

/// Sums a tile's pages. `first_row`: the warp's.
static void sum_pages(const AttentionParams& params, const Tile& tile, int32_t first_row, uint32_t queries,
                      uint32_t ring, Copies& copies, RowSums<1>& sums) {
  const RowBlock& block = tile.block;
  const WarpRows<1> rows = rows_of_warp<1>(params, block, first_row, fresh_lane());
  // Pages that any row of the warpgroup sees.
  const int32_t group_first = first_row / group_rows * group_rows;
  const int32_t group_end = min(group_first + group_rows, block.rows());
  int32_t first_used = 0, end_used = 0;
  if (group_first < group_end) {
    first_used = first_seen(params, block.position(params, group_first)) / page_tokens;
    end_used = block.position(params, group_end - 1) / page_tokens + 1;
  }
  const auto sees = [&](int32_t page) { return page >= first_used && page < end_used; };
  uint32_t buffer = ring;
  const auto next_buffer = [&] {
    wait_for_copy_groups<buffers - 2>();
    let_products_see_copies();
    __syncthreads();
    copies.start_next();
  };
  const auto leave_buffer = [&] {
    buffer += wide.operand_bytes();
    if (buffer == ring + buffers * wide.operand_bytes()) buffer = ring;
  };

  sums.begin();
  Scores now;
  // Code that is fetched for the first time costs as much as a page: everything stands here once. The round before the
  // first page only starts its scores.
#pragma unroll 1
  for (int32_t page = tile.first_page - 1; page < tile.end_page; ++page) {
    PageWeights<1> weights;
    Scores next;
    next_buffer();
    start_scores(queries, buffer, next);  // behind the last page there is nothing new, and nobody looks
    leave_buffer();
    if (sees(page)) weigh<1>(params, rows, page * page_tokens, now, weights);
    wait_for_products<0>();
    hold(flat(next));
#pragma unroll
    for (int i = 0; i < 32; ++i) flat(now)[i] = flat(next)[i];
    if (page < tile.first_page) continue;
    next_buffer();
    if (sees(page)) add_values(weights, buffer, sums);
    leave_buffer();
  }
}

extern "C" __global__ void __launch_bounds__(threads, 1)
    attention_wgmma(const __grid_constant__ AttentionParams params) {
  extern __shared__ uint4 shared_memory[];
  __shared__ Work work;
  // Swizzled rows begin at multiples of 1,024 bytes.
  char* const shared = reinterpret_cast<char*>(shared_memory) + (-shared_address(shared_memory) & 1023);
  const int32_t blocks = static_cast<int32_t>(gridDim.x), own = static_cast<int32_t>(blockIdx.x);
  const int32_t thread = static_cast<int32_t>(threadIdx.x);
  Sharing sharing(params, work);
  // A step's counts, spans and positions are no launch's results: they can be read while predecessors run.
  if (thread < warp_size) sharing.begin_tiles(blocks, wide.warpgroups * group_rows);
  __syncthreads();
  wait_for_predecessors();

  const uint32_t queries = shared_address(shared), ring = queries + wide.warpgroups * wide.operand_bytes();
  const uint32_t own_queries = queries + thread / 128 * wide.operand_bytes();
  const int32_t first_row = thread / warp_size * 16;
  // The longest tiles come first; in every second round the blocks take theirs in the opposite order.
  const auto item_of = [&](int32_t round) { return round * blocks + (round % 2 == 0 ? own : blocks - 1 - own); };
  for (int32_t round = 0; item_of(round) < work.tiles; ++round) {
    const Tile tile = tile_at(params, sharing, item_of(round));
    Copies copies(params, tile, ring);
    load_queries<BlockRows, wide.warpgroups * group_rows, threads>(params, tile.block, shared, thread);
    RowSums<1> sums;
    sum_pages(params, tile, first_row, own_queries, ring, copies, sums);
    __syncthreads();
    store_rows<1>(params, tile.block, first_row, fresh_lane(), sums);
    if (tile.block.kv_head == params.kv_heads - 1) {
      store_pads(params, tile.block.first, tile.block.queries, thread, threads);
    }
  }
}
