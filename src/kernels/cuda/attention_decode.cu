// Attention (kernels/attention_families.h) of few queries behind long contexts, over bf16 and f16 caches: keys and
// values go from memory to registers, once for all heads of a KV head.
//
// A block has up to eight columns: (query, head) pairs of one KV head. A warp computes tiles of 16 keys: their scores
// are 16 × 8 products, their weighted values products of 16 dims × 8 columns. The order of a product's terms is free as
// long as both operands have the same one, so that a lane loads 16 bytes of keys and of values at a time, as they lie.
//
// The tiles of a context are dealt to PARTS · WARPS warps in turn. A warp adds its own in order, a block those of its
// warps, the last block of a column those of all parts. So a row's bits depend on its own context alone. Parts meet in
// the memory of a cluster's first block (CLUSTER = PARTS) or in the workspace (CLUSTER = 1).
//
// QUERY, CACHE, OUTPUT are element types, HEAD_DIM a multiple of 16; SOFT_CAP and SLOPES say whether there are any,
// ROTARY is 0 without a rotation, 2 of an interleaved one. WARPS are a block's.
#include "kernels/cuda/attention_decode_params.h"
#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/cluster.cuh"

using namespace incipit;

constexpr AttentionDecodeShape decode_shape{head_dim, WARPS, PARTS};
constexpr int columns = AttentionDecodeShape::columns, threads = WARPS * warp_size;
constexpr int tile_keys = 16, page_tiles = page_tokens / tile_keys;
constexpr int turn_tiles = PARTS * WARPS;  // from a warp's tile to its next
constexpr int sum_row = decode_shape.sum_row();
constexpr int key_words = head_dim / 8, value_words = head_dim / 16;  // of a lane, of a key it has

/// For each step of 16 dims what a lane takes of the queries: rows lane / 4 are columns, rows behind them their second
/// terms, if there are any.
using QueryWords = uint4[key_steps][warp_size];

/// Loads `count` words of 4 bytes.
template <int count>
static void load_words(uint32_t* to, const char* from) {
  if constexpr (count == 4) {
    const uint4 words = __ldcg(reinterpret_cast<const uint4*>(from));
    to[0] = words.x, to[1] = words.y, to[2] = words.z, to[3] = words.w;
  } else if constexpr (count == 2) {
    const uint2 words = __ldcg(reinterpret_cast<const uint2*>(from));
    to[0] = words.x, to[1] = words.y;
  } else {
    to[0] = __ldcg(reinterpret_cast<const unsigned int*>(from));
  }
}

/// A row's words that one of `lanes` has: of each `4 · lanes` words four, then of what is left.
template <int lanes, int words>
static void load_row(uint32_t* to, const char* row, int32_t lane) {
  constexpr int whole = words / 4 * 4, pair = words & 2, single = words & 1;
#pragma unroll
  for (int word = 0; word < whole; word += 4) load_words<4>(to + word, row + lanes * 4 * word + 16 * lane);
  if constexpr (pair != 0) load_words<2>(to + whole, row + lanes * 4 * whole + 8 * lane);
  if constexpr (single != 0) load_words<1>(to + whole + pair, row + lanes * 4 * (whole + pair) + 4 * lane);
}
/// The first of the two dims of word `word` of a value, for the lane of eight.
static int32_t value_dim(int word, int32_t lane) {
  constexpr int whole = value_words / 4 * 4, pair = value_words & 2;
  if (word < whole) return 64 * (word / 4) + 8 * lane + word % 4 * 2;
  return word < whole + pair ? 16 * whole + 4 * lane + 2 * (word - whole) : 16 * (whole + pair) + 2 * lane;
}

/// The columns of a block, in shared memory, where no thread keeps them in registers.
struct Block {
  SequenceSpan span;
  int32_t sequence, kv_head, first_head;
  int32_t query, heads, count;  // the first query, heads of each, columns
  int32_t position[columns];    // −1: no column
  float slope[columns];         // per position, in units of log2

  int32_t query_of(const AttentionDecodeParams& params, int32_t column) const {
    return query + (column * params.inverse >> 16);
  }
  int32_t head_of(const AttentionDecodeParams& params, int32_t column) const {
    return first_head + column - (column * params.inverse >> 16) * heads;
  }
  int32_t last_position() const { return position[count - 1]; }
  /// The cache holds positions up to here.
  int32_t written() const { return span.first_position + span.tokens; }

  /// Finds the block's columns, from the row on. For a warp.
  void begin(const AttentionDecodeParams& all, int32_t row, int32_t index, int32_t lane) {
    const AttentionParams& params = all.attention;
    const RowOf owner = sequence_of(params, row, lane);
    if (lane >= columns) return;
    const Queries queries = queries_of(params, owner.span);
    const int32_t before = row - queries.first, tile = index / params.kv_heads;
    const int32_t own_heads = min(all.block_heads, all.group - tile * all.block_heads);
    const bool begins = owner.sequence >= 0 && before % all.block_queries == 0;
    const int32_t own = begins ? own_heads * min(all.block_queries, queries.count - before) : 0;
    if (lane == 0) {
      span = owner.span;
      sequence = owner.sequence;
      kv_head = index - tile * params.kv_heads;
      first_head = kv_head * all.group + tile * all.block_heads;
      query = row;
      heads = own_heads;
      count = own;
    }
    const bool is_column = lane < own;
    const int32_t before_column = lane * all.inverse >> 16;
    position[lane] = is_column ? position_of(params, owner.span, row + before_column) : -1;
    slope[lane] = 0;
#if SLOPES
    if (is_column) {
      slope[lane] = params.slopes[(index - tile * params.kv_heads) * all.group + tile * all.block_heads + lane -
                                  before_column * own_heads] *
                    log2_e;
    }
#endif
  }
};

/// Where a warp's tiles lie. A lane holds the page of one in 32.
class Tiles {
 public:
  Tiles(const AttentionParams& params, const Block& block, int32_t first_tile) : first_(first_tile) {
    load_pages(params, block, 0);
  }
  /// The warp's `turn`th.
  int32_t tile(int32_t turn) const { return first_ + turn * turn_tiles; }
  int32_t turns(int32_t last_position) const {
    const int32_t tiles = last_position / tile_keys + 1 - first_;
    return tiles <= 0 ? 0 : (tiles + turn_tiles - 1) / turn_tiles;
  }
  const char* keys_of(const AttentionParams& params, const Block& block, int32_t turn) {
    if (turn >= pages_of_ + warp_size) load_pages(params, block, turn);
    const int32_t page = __shfl_sync(all_lanes, page_, turn - pages_of_);
    const int32_t within = (4 * page_tokens * block.kv_head + tile(turn) % page_tiles * (2 * tile_keys)) * head_dim;
    return reinterpret_cast<const char*>(params.cache.pool) + page * params.cache.page_bytes +
           params.cache.layer_offset + within;
  }

 private:
  void load_pages(const AttentionParams& params, const Block& block, int32_t turn) {
    pages_of_ = turn;
    const int32_t at = tile(turn + fresh_lane());
    const int32_t* table = params.cache.page_tables + int64_t{block.sequence} * params.cache.table_stride;
    page_ = at * tile_keys < block.written() ? table[at / page_tiles] : 0;
  }
  int32_t first_, pages_of_, page_;
};

static void load_keys(uint32_t (&words)[2][key_words], const char* keys) {
  const int32_t lane = fresh_lane();
  const char* row = keys + lane / 4 * (2 * head_dim);
  load_row<4, key_words>(words[0], row, lane % 4);
  load_row<4, key_words>(words[1], row + 8 * 2 * head_dim, lane % 4);
}
/// `last`: of the tile's keys that were written. Of one behind it, whose weight is zero, it takes this one's values, as
/// the product must be zero too.
static void load_values(uint32_t (&words)[4][value_words], const char* keys, int32_t last) {
  const int32_t lane = fresh_lane();
  const char* values = keys + page_tokens * 2 * head_dim;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int32_t key = min(lane % 4 * 2 + i % 2 + i / 2 * 8, last);
    load_row<8, value_words>(words[i], values + key * (2 * head_dim), lane / 4);
  }
}

/// A warp's sums over its tiles. A lane has the weights' of column lane / 4, and values of columns 2 · (lane % 4) and
/// the next: of dims value_dim() and the next.
struct Columns {
  float largest = no_score, total = 0;
  float values[value_words][4] = {};
};

/// A tile's scores: of column lane / 4, for keys 8 · half + 2 · (lane % 4) and the next.
static void multiply_queries(const QueryWords& queries, const uint32_t (&key)[2][key_words], float (&scores)[2][2]) {
  const int32_t lane = fresh_lane();
  float sums[2][4] = {};
#pragma unroll
  for (int step = 0; step < key_steps; ++step) {
    const uint4 words = queries[step][lane];
    const uint32_t first[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
    for (int half = 0; half < 2; ++half) Unit::multiply(sums[half], first, &key[half][2 * step]);
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float* pair = &sums[i / 2][i % 2];
    scores[i / 2][i % 2] = terms == 1 ? pair[0] : pair[0] + pair[2];
  }
}

/// The weights of a tile's scores, ready for products, added to the sums.
static void weigh_tile(const AttentionParams& params, const Block& block, int32_t tile, float (&scores)[2][2],
                       Columns& sums, uint32_t (&weights)[terms][2]) {
  const int32_t lane = fresh_lane(), column = lane / 4;
  const int32_t origin = tile * tile_keys, key = origin + lane % 4 * 2;
#if SOFT_CAP || SLOPES
  const float unit = 1;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float score = scores[i / 2][i % 2] * params.scale;
#if SOFT_CAP
    score = soft_capped_quickly(score, params.soft_cap);
#endif
    score *= log2_e;
#if SLOPES
    const int32_t distance = key + i / 2 * 8 + i % 2 - block.position[column];
    score = __fmaf_rn(block.slope[column], static_cast<float>(distance), score);
#endif
    scores[i / 2][i % 2] = score;
  }
#else
  const float unit = params.scale * log2_e;
#endif
  if (origin + tile_keys - 1 > block.position[0] || origin < first_seen(params, block.last_position())) {
    const int32_t position = block.position[column], first = first_seen(params, position);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int32_t at = key + i / 2 * 8 + i % 2;
      if (at > position || at < first) scores[i / 2][i % 2] = no_score;
    }
  }
  const float of_tile = row_max(fmaxf(fmaxf(scores[0][0], scores[0][1]), fmaxf(scores[1][0], scores[1][1])));
  const float largest = fmaxf(sums.largest, __fmul_rn(of_tile, unit)), reference = largest == no_score ? 0 : largest;
  const float factor = exp2_fast(sums.largest - reference);
  sums.largest = largest;
  float total = 0;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float(&pair)[2] = scores[half];
    pair[0] = exp2_fast(__fmaf_rn(pair[0], unit, -reference));
    pair[1] = exp2_fast(__fmaf_rn(pair[1], unit, -reference));
    total += pair[0] + pair[1];
    uint32_t words[terms];
    Unit::split(pair[0], pair[1], words);
#pragma unroll
    for (int term = 0; term < terms; ++term) weights[term][half] = words[term];
  }
  sums.total = __fmaf_rn(sums.total, factor, total);
  const float factors[2] = {__shfl_sync(all_lanes, factor, lane % 4 * 8),
                            __shfl_sync(all_lanes, factor, lane % 4 * 8 + 4)};
#pragma unroll
  for (int i = 0; i < 4 * value_words; ++i) sums.values[i / 4][i % 4] *= factors[i % 2];
}

/// Adds a tile's weighted values.
static void multiply_values(const uint32_t (&value)[4][value_words], const uint32_t (&weights)[terms][2],
                            Columns& sums) {
#pragma unroll
  for (int word = 0; word < value_words; ++word) {
    uint32_t first[4];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      first[2 * i] = __byte_perm(value[2 * i][word], value[2 * i + 1][word], 0x5410);
      first[2 * i + 1] = __byte_perm(value[2 * i][word], value[2 * i + 1][word], 0x7632);
    }
#pragma unroll
    for (int term = 0; term < terms; ++term) Unit::multiply(sums.values[word], first, weights[term]);
  }
}

/// Sums of some warps or parts, in order: of two dims of a column.
struct Sum {
  float2 values{0, 0};
  float largest = no_score, total = 0;
};
template <int count, bool in_shared>
static Sum add_sums(const float* column, int32_t step, int32_t dim) {
  const auto load = [&](int i, int32_t at) {
    const float* from = column + i * step + at;
    if constexpr (in_shared) return *reinterpret_cast<const float2*>(from);
    // What other blocks left in the workspace is not in this multiprocessor's cache.
    float2 pair;
    asm volatile("ld.relaxed.gpu.v2.f32 {%0, %1}, [%2];" : "=f"(pair.x), "=f"(pair.y) : "l"(from) : "memory");
    return pair;
  };
  float2 values[count], last[count];
  Sum sum;
#pragma unroll
  for (int i = 0; i < count; ++i) {
    values[i] = load(i, dim);
    last[i] = load(i, head_dim);
    sum.largest = fmaxf(sum.largest, last[i].x);
  }
  const float reference = sum.largest == no_score ? 0 : sum.largest;
#pragma unroll
  for (int i = 0; i < count; ++i) {
    const float factor = exp2_fast(last[i].x - reference);
    sum.values.x = __fmaf_rn(values[i].x, factor, sum.values.x);
    sum.values.y = __fmaf_rn(values[i].y, factor, sum.values.y);
    sum.total = __fmaf_rn(last[i].y, factor, sum.total);
  }
  return sum;
}

/// Puts a chunk of the columns' queries where every warp finds it; other columns are zeros.
static void load_column_chunk(const AttentionDecodeParams& params, const Block& block, QueryWords& queries,
                              int32_t index) {
  const int32_t column = index / row_chunks, chunk = index % row_chunks;
  // A lane has 8 dims of every 32, and 4 of 16 behind them.
  constexpr int whole = key_steps / 2 * 4;  // chunks
  const bool is_whole = chunk < whole;
  const int32_t step = is_whole ? chunk / 4 * 2 : key_steps - 1;
  const int32_t lane = 4 * column + (is_whole ? chunk % 4 : (chunk - whole) * 2);
  const auto place = [&](int32_t half) {
    return &queries[is_whole ? step + half : step][is_whole ? lane : lane + half];
  };
  float values[8] = {};
  if (column < block.count) {
    const AttentionParams& of = params.attention;
    const int64_t row = block.query_of(params, column);
    const auto* head =
        static_cast<const QUERY*>(of.query) + row * of.query_stride + block.head_of(params, column) * head_dim;
    const float* table = of.table + row * of.table_stride;
    if (!of.query_in_chunks) {
      *place(0) = *place(1) = uint4{0, 0, 0, 0};
#pragma unroll 1
      for (int i = 0; i < 8; ++i) {
        uint32_t words[2] = {};
        Unit::split(rotated_dim(of, head, table, 8 * chunk + i), 0, words);
        auto* to = reinterpret_cast<uint16_t*>(place(i / 4)) + i % 4 / 2 * 4 + i % 2;
        to[0] = static_cast<uint16_t>(words[0]);
        to[2] = static_cast<uint16_t>(words[1]);
      }
      return;
    }
    load_query_chunk(of, head, table, 8 * chunk, ROTARY != 0, ROTARY == 2, values);
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    uint32_t words[2][2] = {};
#pragma unroll
    for (int i = 0; i < 2; ++i) Unit::split(values[4 * half + 2 * i], values[4 * half + 2 * i + 1], words[i]);
    *place(half) = uint4{words[0][0], words[0][1], words[1][0], words[1][1]};
  }
}

/// Leaves a warp's sums for its block.
static void leave_sums(const Columns& sums, int32_t count, float* to) {
  const int32_t lane = fresh_lane();
  const float total = row_sum(sums.total);
  if (lane % 4 == 0 && lane / 4 < count) {
    *reinterpret_cast<float2*>(to + lane / 4 * sum_row + head_dim) = float2{sums.largest, total};
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int32_t column = lane % 4 * 2 + i;
    if (column >= count) continue;
#pragma unroll
    for (int word = 0; word < value_words; ++word) {
      *reinterpret_cast<float2*>(to + column * sum_row + value_dim(word, lane / 4)) =
          float2{sums.values[word][i], sums.values[word][i + 2]};
    }
  }
}

/// Adds one, behind all that the block has written; what others wrote before they did can be seen then.
static uint32_t count_seen(uint32_t* counter) {
  uint32_t before;
  asm volatile("atom.add.acq_rel.gpu.global.u32 %0, [%1], 1;"
               : "=r"(before)
               : "l"(__cvta_generic_to_global(counter))
               : "memory");
  return before;
}

constexpr int blocks_at_once = head_dim <= 128 && terms == 1 ? 16 / WARPS : 8 / WARPS;

extern "C" __global__ void __launch_bounds__(threads, blocks_at_once < 1 ? 1 : blocks_at_once)
    attention_decode(const __grid_constant__ AttentionDecodeParams all) {
  extern __shared__ uint4 shared_memory[];
  __shared__ QueryWords queries;
  __shared__ Block block;
  const AttentionParams& params = all.attention;
  const int32_t thread = static_cast<int32_t>(threadIdx.x), warp = thread / warp_size;
  const int32_t rank = CLUSTER > 1 ? cluster_rank() : static_cast<int32_t>(blockIdx.x);
  if constexpr (CLUSTER > 1) cluster_arrive();  // before its memory is written to, a block must be there

  // Counts, spans, positions and pages are no launch's results, and earlier tokens' keys and values are an earlier
  // step's: they can be read while predecessors run.
  if (warp == 0) {
    block.begin(all, static_cast<int32_t>(blockIdx.z), static_cast<int32_t>(blockIdx.y), thread);
  }
  __syncthreads();
  if (block.count == 0) {
    wait_for_predecessors();
    return;
  }

  float* const of_warps = reinterpret_cast<float*>(shared_memory);
  float* const own_parts = of_warps + WARPS * block.count * sum_row;
  float* of_parts = own_parts;
  const bool apart = CLUSTER == 1 && PARTS > 1 && gridDim.x > 1;  // parts meet in the workspace
  if constexpr (CLUSTER > 1) {
    of_parts = of_block(own_parts, 0);
  } else if (apart) {
    // In the order of the launch's rows, which of all heads have as many in a block.
    const int32_t queries_of_block = block.query_of(all, block.count - 1) - block.query + 1;
    of_parts = reinterpret_cast<float*>(params.workspace) + AttentionDecodeShape::counters +
               (int64_t{block.query} * params.heads + block.first_head * queries_of_block) * (PARTS * sum_row);
  }
  const int32_t first_tile = first_seen(params, block.position[0]) / tile_keys;
  const int32_t end_part = CLUSTER > 1 || apart ? rank + 1 : PARTS;
#pragma unroll 1
  for (int32_t part = CLUSTER > 1 || apart ? rank : 0; part < end_part; ++part) {
    Tiles tiles(params, block, first_tile + ((part * WARPS + warp - first_tile) & (turn_tiles - 1)));
    const int32_t turns = tiles.turns(block.last_position());
    const auto last_of = [&](int32_t turn) { return block.written() - 1 - tiles.tile(turn) * tile_keys; };
    uint32_t key[2][key_words], value[4][value_words];
    const char* keys = nullptr;
    if (turns > 0) keys = tiles.keys_of(params, block, 0);
    const bool is_old = (tiles.tile(0) + 1) * tile_keys <= block.span.first_position;
    const auto load = [&] {
      load_keys(key, keys);
      load_values(value, keys, last_of(0));
    };
    if (turns > 0 && is_old) load();
    let_successor_start();
    wait_for_predecessors();
    if (turns > 0 && !is_old) load();
#pragma unroll 1
    for (int32_t index = thread; index < columns * row_chunks; index += threads) {
      load_column_chunk(all, block, queries, index);
    }
    Columns sums;
    __syncthreads();
#pragma unroll 1
    for (int32_t turn = 0; turn < turns; ++turn) {
      __syncwarp();  // the compiler would keep queries in registers over the loop, which it has no room for
      float scores[2][2];
      multiply_queries(queries, key, scores);
      const bool is_more = turn + 1 < turns;
      if (is_more) {
        keys = tiles.keys_of(params, block, turn + 1);
        load_keys(key, keys);
      }
      uint32_t weights[terms][2];
      weigh_tile(params, block, tiles.tile(turn), scores, sums, weights);
      multiply_values(value, weights, sums);
      if (is_more) load_values(value, keys, last_of(turn + 1));
    }
    leave_sums(sums, block.count, of_warps + warp * block.count * sum_row);
    __syncthreads();
    if constexpr (PARTS > 1) {
      if constexpr (CLUSTER > 1) cluster_wait();
#pragma unroll 1
      for (int32_t item = thread; item < block.count * (head_dim / 2); item += threads) {
        const int32_t column = item / (head_dim / 2), dim = item % (head_dim / 2) * 2;
        const Sum sum = add_sums<WARPS, true>(of_warps + column * sum_row, block.count * sum_row, dim);
        float* to = of_parts + (part * block.count + column) * sum_row;
        *reinterpret_cast<float2*>(to + dim) = sum.values;
        if (dim == 0) *reinterpret_cast<float2*>(to + head_dim) = float2{sum.largest, sum.total};
      }
    }
  }

  if constexpr (CLUSTER > 1) {
    cluster_arrive();
    if (rank != 0) return;
    cluster_wait();
  } else if (apart) {
    // The last part of a column to be done adds up all of them.
    __shared__ uint32_t done;
    __syncthreads();
    if (thread == 0) {
      auto* counter = reinterpret_cast<uint32_t*>(params.workspace) + (blockIdx.z * gridDim.y + blockIdx.y);
      done = count_seen(counter) + 1;
      if (done == PARTS) *counter = 0;
    }
    __syncthreads();
    if (done != PARTS) return;
  } else if constexpr (PARTS > 1) {
    __syncthreads();
  }
#pragma unroll 1
  for (int32_t item = thread; item < block.count * (head_dim / 2); item += threads) {
    const int32_t column = item / (head_dim / 2), dim = item % (head_dim / 2) * 2;
    constexpr int count = PARTS > 1 ? PARTS : WARPS;
    constexpr bool in_shared = PARTS == 1 || CLUSTER > 1;
    const float* from = (PARTS == 1 ? of_warps : in_shared ? own_parts : of_parts) + column * sum_row;
    const Sum sum = add_sums<count, in_shared>(from, block.count * sum_row, dim);
    const int32_t head = block.head_of(all, column);
    const float factor = factor_of(params, sum.total, sum.largest, head);
    store_pair(params, block.query_of(all, column), head * head_dim + dim, sum.values.x * factor,
               sum.values.y * factor);
  }
  if (block.first_head + block.heads == params.heads) {
#pragma unroll 1
    for (int32_t column = params.heads * head_dim + thread; column < params.padded_width; column += threads) {
#pragma unroll 1
      for (int32_t query = block.query; query <= block.query_of(all, block.count - 1); ++query) {
        static_cast<OUTPUT*>(params.output)[query * params.output_stride + column] = OUTPUT{};
      }
    }
  }
}
