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

static void compute_tile(const AttentionParams& params, const Sharing& sharing, int32_t item, char* shared) {
  const int32_t thread = static_cast<int32_t>(threadIdx.x), lane = thread % warp_size, warpgroup = thread / 128;
  const RowBlock block = tile_of(params, sharing, item);
  const int32_t first_page = first_seen(params, block.position(params, 0)) / page_tokens;
  const int32_t end_page = block.position(params, block.rows() - 1) / page_tokens + 1;
  const uint32_t queries = shared_address(shared), ring = queries + wide.warpgroups * wide.operand_bytes();

  Pages pages(params, block, first_page);
  int32_t key_page = first_page, value_page = first_page;
  bool values_next = false;
  uint32_t copied = ring, buffer = ring;
  const auto advance = [&](uint32_t& at) {
    at += wide.operand_bytes();
    if (at == ring + buffers * wide.operand_bytes()) at = ring;
  };
  // The first page's keys; then a page's keys and the values of the page before.
  const auto copy_next = [&] {
    int32_t& page = values_next ? value_page : key_page;
    if (page < end_page) pages.copy<BlockRows, threads>(page, values_next, copied, thread);
    end_copy_group();
    ++page;
    values_next = key_page - value_page == 2;
    advance(copied);
  };
#pragma unroll 1
  for (int i = 0; i < buffers - 1; ++i) copy_next();
  load_queries<BlockRows, wide.warpgroups * group_rows, threads>(params, block, shared, thread);

  const int32_t group_first = warpgroup * group_rows, group_end = min(group_first + group_rows, block.rows());
  const int32_t first_row = group_first + thread % 128 / warp_size * 16;
  const WarpRows<1> rows = rows_of_warp<1>(params, block, first_row, lane);
  // Pages that any row of the warpgroup sees.
  int32_t first_used = 0, end_used = 0;
  if (group_first < group_end) {
    first_used = first_seen(params, block.position(params, group_first)) / page_tokens;
    end_used = block.position(params, group_end - 1) / page_tokens + 1;
  }
  const auto sees = [&](int32_t page) { return page >= first_used && page < end_used; };
  const uint32_t own_queries = queries + warpgroup * wide.operand_bytes();
  const auto next_buffer = [&] {
    wait_for_copy_groups<buffers - 2>();
    let_products_see_copies();
    __syncthreads();
    copy_next();
  };

  RowSums<1> sums;
  sums.begin();
  Scores scores[2];
  next_buffer();
  start_scores(own_queries, buffer, scores[0]);
  advance(buffer);
  wait_for_products<0>();
  hold(flat(scores[0]));
  const auto add_page = [&](int32_t page, Scores& now, Scores& next) {
    PageWeights<1> weights;
    next_buffer();
    start_scores(own_queries, buffer, next);
    advance(buffer);
    if (sees(page)) weigh<1>(params, rows, page * page_tokens, now, weights);
    wait_for_products<0>();
    hold(flat(next));
    next_buffer();
    if (sees(page)) add_values(weights, buffer, sums);
    advance(buffer);
  };
#pragma unroll 1
  for (int32_t page = first_page; page < end_page; page += 2) {
    add_page(page, scores[0], scores[1]);
    if (page + 1 < end_page) add_page(page + 1, scores[1], scores[0]);
  }
  store_rows<1>(params, block, first_row, lane, sums);
  if (block.kv_head == params.kv_heads - 1) store_pads(params, block.first, block.queries, thread, threads);
}

extern "C" __global__ void __launch_bounds__(threads, 1)
    attention_wgmma(const __grid_constant__ AttentionParams params) {
  extern __shared__ uint4 shared_memory[];
  __shared__ Work work;
  wait_for_predecessors();
  // Swizzled rows begin at multiples of 1,024 bytes.
  char* const shared = reinterpret_cast<char*>(shared_memory) + (-shared_address(shared_memory) & 1023);
  const int32_t blocks = static_cast<int32_t>(gridDim.x), block = static_cast<int32_t>(blockIdx.x);
  Sharing sharing(params, work);
  if (threadIdx.x < warp_size) sharing.begin_tiles(blocks, wide.warpgroups * group_rows);
  __syncthreads();
  // The longest tiles come first; in every second round the blocks take theirs in the opposite order.
  for (int32_t round = 0;; ++round) {
    const int32_t tile = round * blocks + (round % 2 == 0 ? block : blocks - 1 - block);
    if (round * blocks >= work.tiles) return;
    if (tile < work.tiles) compute_tile(params, sharing, tile, shared);
    __syncthreads();
  }
}
