// Attention (kernels/attention_families.h) over bf16 caches by warpgroups' matrix products, for many query rows:
// FlashAttention-3 (Shah et al., arXiv:2407.08608).
//
// A persistent grid takes tiles of 128 query rows, or of 64 where there are few. A warp has the copy engine fill a ring
// of stages with blocks of 128 keys and values (attention_producer.cuh). Two warpgroups have 64 rows of the tile each,
// and take turns: one multiplies while the other computes weights. Everything is a tile, single tokens too.
//
// A row's weighted values are summed in place, relative to the largest score so far. Blocks begin at multiples of 128
// positions, and what a row does not see adds zero to its sums; so its bits do not depend on the tile that it is in.
//
// Defines: QUERY, CACHE, OUTPUT are element types, HEAD_DIM is 64, 96 or 128. ROTARY: 0 none, 1 of halves, 2 of
// neighbours. SOFT_CAP and SLOPES: 1 where there are such.
#define WGMMA_N 128
#include "kernels/cuda/attention_producer.cuh"
#include "kernels/cuda/wgmma.cuh"

using namespace incipit;

namespace {

/// 64 rows of 64 dims in the swizzle of 128 bytes, then the same rows' next dims.
struct GroupRows {
  static constexpr int row_bytes = 2 * head_dim;
  static uint32_t at(uint32_t row, uint32_t chunk) {
    return chunk / 8 * query_part + row * 128 + ((chunk ^ row) & 7) * 16;
  }
};

/// Copies the group's queries into shared memory. Rows behind the last are copies of it, which nobody stores.
///
/// Eight threads have a row. A unit of their work is 16 bytes, or in a rotation of halves those and their partners.
void load_group(const AttentionParams& params, const RowBlock& queries, int32_t first, char* shared, uint32_t thread) {
  if (!params.query_in_chunks) {
    load_queries_by_dims<GroupRows, group_rows, group_threads>(params, queries, first, shared,
                                                               static_cast<int32_t>(thread));
    return;
  }
  const RowBlock block = queries;
  constexpr int rows = group_rows / (group_threads / 8);
  const uint32_t pair_chunks = ROTARY == 1 ? static_cast<uint32_t>(params.rotary_pairs) / 8 : 0;
#pragma unroll 1
  for (uint32_t unit = thread % 8; unit < row_chunks - pair_chunks; unit += 8) {
    // What passes through has no partner, and is loaded like the rest.
    const bool rotates = unit < pair_chunks;
    const uint32_t second = unit + pair_chunks, chunk = rotates ? unit : second, pair = rotates ? 8 * unit : 0;
    float values[rows][2][8], cosines[rows][8], sines[rows][8];
#pragma unroll
    for (int i = 0; i < rows; ++i) {  // all are under way together
      const int32_t row = min(first + i * (group_threads / 8) + static_cast<int32_t>(thread / 8), block.rows() - 1);
      const QUERY* const head = block.query(params, row);
      const float* const table = params.table + block.query_of(row) * params.table_stride;
      if (ROTARY == 1) {
        load_chunk(head + 8 * chunk, values[i][0]);
        load_chunk(head + 8 * second, values[i][1]);
        load_chunk(table + pair, cosines[i]);
        load_chunk(table + params.rotary_pairs + pair, sines[i]);
      } else {
        load_query_chunk(params, head, table, static_cast<int32_t>(8 * unit), ROTARY == 2, ROTARY == 2, values[i][1]);
      }
    }
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      const uint32_t row = i * (group_threads / 8) + thread / 8;
      if (ROTARY == 1) {
#pragma unroll
        for (int k = 0; k < 8; ++k) {
          const float x = values[i][0][k], y = values[i][1][k];
          values[i][0][k] = rotates ? rotated(x, y, cosines[i][k], sines[i][k], false) : x;
          values[i][1][k] = rotates ? rotated(y, x, cosines[i][k], sines[i][k], true) : y;
        }
        store_query_chunk(values[i][0], shared, 0, GroupRows::at(row, chunk));
      }
      store_query_chunk(values[i][1], shared, 0, GroupRows::at(row, second));
    }
  }
}

using Scores = float[block_tokens / 2];  // a thread's, of 64 rows × 128 keys
using Values = float[head_dim / 2];
using Weights = uint32_t[block_tokens / 16][4];

/// No use of them is moved across this place.
template <int count>
void hold(float (&d)[count]) {
#pragma unroll
  for (int i = 0; i < count; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

/// scores (+)= queries[64 × 16 dims] · keys[128 × 16 dims]ᵀ.
void multiply_keys(Scores& scores, uint64_t queries, uint64_t keys, bool first) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.eq.u32 p, %66, 0;\nwgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
      "{" WGMMA_REGISTERS_128 "}, %64, %65, p, 1, 1, 0, 0;\n}"
      : WGMMA_VALUES_128(scores)
      : "l"(queries), "l"(keys), "r"(first ? 1 : 0));
}
#if HEAD_DIM == 64
#define WEIGHT_INPUTS "{%32, %33, %34, %35}, %36"
#elif HEAD_DIM == 96
#define WEIGHT_INPUTS "{%48, %49, %50, %51}, %52"
#else
#define WEIGHT_INPUTS "{%64, %65, %66, %67}, %68"
#endif
/// sums += weights[64 × 16 tokens] · values, which lie as rows of tokens.
void multiply_values(Values& sums, const uint32_t (&weights)[4], uint64_t values) {
  asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\nwgmma.mma_async.sync.aligned.m64n" WGMMA_TEXT(
                   HEAD_DIM) "k16.f32.bf16.bf16 {" WGMMA_JOIN(WGMMA_REGISTERS_, HEAD_DIM) "}, " WEIGHT_INPUTS
                                                                                          ", p, 1, 1, 1;\n}"
               : WGMMA_JOIN(WGMMA_VALUES_, HEAD_DIM)(sums)
               : "r"(weights[0]), "r"(weights[1]), "r"(weights[2]), "r"(weights[3]), "l"(values));
}

/// Starts scores = queries · keysᵀ.
void start_scores(uint32_t queries, uint32_t keys, Scores& scores) {
  const uint64_t first = operand_at(queries), second = operand_at(keys);
  hold(scores);
  begin_products();
#pragma unroll
  for (int step = 0; step < key_steps; ++step) {
    multiply_keys(scores, first + (step / 4 * query_part + step % 4 * 32) / 16,
                  second + (step / 4 * part_bytes + step % 4 * 32) / 16, step == 0);
  }
  end_products();
}
/// Starts sums += weights · values.
void start_sums(const Weights& weights, uint32_t values, Values& sums) {
  const uint64_t operand = operand_at(values, part_bytes);
  hold(sums);
  begin_products();
#pragma unroll
  for (int step = 0; step < block_tokens / 16; ++step) {
    multiply_values(sums, weights[step], operand + step * 16 * 128 / 16);
  }
  end_products();
}

/// Of a thread's two rows: what weights are relative to (2^largest), the thread's part of their sum, and what the sums
/// of before are multiplied with.
struct Totals {
  float largest[2] = {no_score, no_score}, total[2] = {0, 0}, factor[2];
};

/// Brings a block's scores into their last form, up to a factor, which it returns; takes the largest into account.
float raise_largest(const AttentionParams& params, const WarpRows<1>& rows, int32_t origin, Scores& scores,
                    Totals& totals) {
  const int32_t column = origin + 2 * (fresh_lane() & 3);  // the position of the thread's first
  const int32_t place[2] = {rows.position[0][0] - column, rows.position[0][1] - column};
#if SOFT_CAP || SLOPES
  const float unit = 1;
#pragma unroll
  for (int i = 0; i < block_tokens / 2; ++i) {
    float score = scores[i] * params.scale;
#if SOFT_CAP
    score = soft_capped_quickly(score, params.soft_cap);
#endif
    score *= log2_e;
#if SLOPES
    const int32_t distance = i / 4 * 8 + i % 2 - place[i / 2 % 2];
    score = __fmaf_rn(rows.slope[0][i / 2 % 2], static_cast<float>(distance), score);
#endif
    scores[i] = score;
  }
#else
  const float unit = params.scale * log2_e;
#endif
  if (origin + block_tokens - 1 > rows.earliest) {
#pragma unroll
    for (int i = 0; i < block_tokens / 2; ++i) {
      if (i / 4 * 8 + i % 2 > place[i / 2 % 2]) scores[i] = no_score;
    }
  }
  if (origin < first_seen(params, rows.last)) {
#pragma unroll
    for (int i = 0; i < block_tokens / 2; ++i) {
      if (i / 4 * 8 + i % 2 <= place[i / 2 % 2] - params.window) scores[i] = no_score;
    }
  }
  float largest[2] = {no_score, no_score};
#pragma unroll
  for (int i = 0; i < block_tokens / 2; i += 2) {
    largest[i / 2 % 2] = fmaxf(largest[i / 2 % 2], fmaxf(scores[i], scores[i + 1]));
  }
#pragma unroll
  for (int distance = 1; distance < 4; distance *= 2) {  // the other lanes of the rows
#pragma unroll
    for (float& x : largest) x = fmaxf(x, __shfl_xor_sync(all_lanes, x, distance));
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float now = fmaxf(totals.largest[half], __fmul_rn(largest[half], unit));
    totals.factor[half] = exp2_fast(totals.largest[half] - (now == no_score ? 0 : now));
    totals.largest[half] = now;
  }
  return unit;
}

/// Sums of before become relative to the largest score so far: mostly they are.
void rescale(const Totals& totals, Values& sums) {
  if (!__any_sync(all_lanes, totals.factor[0] != 1 || totals.factor[1] != 1)) return;
#pragma unroll
  for (int i = 0; i < head_dim / 2; ++i) sums[i] *= totals.factor[i / 2 % 2];
}

/// Turns scores into weights, and sums them.
void weigh(float unit, Scores& scores, Totals& totals) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float reference = totals.largest[half] == no_score ? 0 : totals.largest[half];
    float total = 0;
#pragma unroll
    for (int i = 2 * half; i < block_tokens / 2; i += 4) {
      scores[i] = exp2_fast(__fmaf_rn(scores[i], unit, -reference));
      scores[i + 1] = exp2_fast(__fmaf_rn(scores[i + 1], unit, -reference));
      total += scores[i] + scores[i + 1];
    }
    totals.total[half] = __fmaf_rn(totals.total[half], totals.factor[half], total);
  }
}

/// A thread's weights as operands of products.
void pack(const Scores& scores, Weights& weights) {
#pragma unroll
  for (int i = 0; i < block_tokens / 4; ++i) weights[i / 4][i % 4] = pack_bf16(scores[2 * i], scores[2 * i + 1]);
}

class Consumer {
 public:
  Consumer(const AttentionParams& params, const Shared& shared)
      : params_(params), shared_(shared), group_(static_cast<int>(threadIdx.x) / group_threads - 1) {
    if (group_ == 1) give_turn();
    TilePlace slot;
#pragma unroll 1
    for (;; slot.next()) {
      wait_for_phase(shared.tile_known(slot.stage), slot.parity);
      const Tile& tile = shared.tile(slot.stage);
      if (tile.block.queries == 0) break;
      wait_for_predecessors();
      alone_ = tile.block.rows() <= group_rows;
      if (group_ == 1 && alone_) {
        pass(tile);
      } else {
        compute(tile);
      }
      give_back(shared.tile_free(slot.stage));
    }
  }

 private:
  static uint32_t thread() { return threadIdx.x % group_threads; }
  void sync_group() const { sync_threads(1 + group_, group_threads); }

  // The groups take turns with products.
  void take_turn() const {
    if (!alone_) sync_threads(3 + group_, 2 * group_threads);
  }
  void give_turn() const {
    if (!alone_) arrive_threads(4 - group_, 2 * group_threads);
  }

  static void give_back(uint32_t barrier) {
    __syncwarp();
    if (fresh_lane() == 0) arrive(barrier);
  }
  void wait_for_stage() const { wait_for_phase(shared_.filled(place_.stage), place_.parity); }
  void free_stage(int stage) const { give_back(shared_.free(stage)); }

  /// A phase can be told from the next one's only: who has no rows keeps step with the other.
  void pass(const Tile& tile) {
#pragma unroll 1
    for (int32_t i = 0; i < 2 * (tile.end() - tile.first()); ++i, place_.next()) {
      wait_for_stage();
      free_stage(place_.stage);
    }
  }

  void compute(const Tile& tile) {
    const RowBlock& block = tile.block;
    const int32_t first_row = group_ * group_rows + static_cast<int32_t>(thread() / warp_size * 16);
    sync_group();  // all have read the queries of before
    load_group(params_, block, group_ * group_rows, shared_.queries(group_), thread());
    publish_shared_memory();
    sync_group();
    const uint32_t queries = shared_address(shared_.queries(group_));
    const WarpRows<1> rows = rows_of_warp<1>(params_, block, first_row, fresh_lane());

    Totals totals;
    Values sums;
    Scores scores;
    Weights weights;
#pragma unroll
    for (int i = 0; i < head_dim / 2; ++i) sums[i] = 0;
    wait_for_stage();
    start_scores(queries, shared_.stage(place_.stage), scores);
    int keys = place_.stage, values = -1;  // stages that are read
    place_.next();
    wait_for_products<0>();
    hold(scores);
    free_stage(keys);
    // Code that is fetched for the first time costs as much as a block: weights are computed at one place.
    int32_t index = tile.first();
#pragma unroll 1
    while (true) {
      const float unit = raise_largest(params_, rows, index * block_tokens, scores, totals);
      weigh(unit, scores, totals);
      hold(scores);
      wait_for_products<0>();  // the values of the block before
      hold(sums);
      if (values >= 0) free_stage(values);
      rescale(totals, sums);
      pack(scores, weights);
      if (++index == tile.end()) break;
      take_turn();
      wait_for_stage();
      keys = place_.stage;
      start_scores(queries, shared_.stage(keys), scores);
      place_.next();
      wait_for_stage();
      values = place_.stage;
      start_sums(weights, shared_.stage(values), sums);
      place_.next();
      give_turn();
      wait_for_products<1>();
      hold(scores);
      free_stage(keys);
    }
    wait_for_stage();
    values = place_.stage;
    clear_unwritten(block, (index - 1) * block_tokens, shared_.stage(values));
    start_sums(weights, shared_.stage(values), sums);
    place_.next();
    float factors[2];
    find_factors(block, first_row, totals, factors);
    wait_for_products<0>();
    hold(sums);
    free_stage(values);
    store(block, first_row, factors, sums);
  }

  /// Values behind a sequence's last token may be anything, NaNs too.
  void clear_unwritten(const RowBlock& block, int32_t origin, uint32_t stage) const {
    const int32_t written = block.span.first_position + block.span.tokens - origin;
    if (written >= block_tokens) return;
#pragma unroll 1
    for (uint32_t i = thread(); i < (block_tokens - written) * 8U * parts; i += group_threads) {
      store_zeros(stage + i % parts * part_bytes + written * 128 + i / parts * 16);
    }
    publish_shared_memory();
    sync_group();
  }
  static void store_zeros(uint32_t to) {
    asm volatile("st.shared.v4.b32 [%0], {%1, %1, %1, %1};" ::"r"(to), "r"(0) : "memory");
  }

  /// What a thread's two rows are multiplied with.
  void find_factors(const RowBlock& block, int32_t first_row, const Totals& totals, float (&factors)[2]) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int32_t row = min(first_row + 8 * half + fresh_lane() / 4, block.rows() - 1);
      factors[half] = factor_of(params_, row_sum(totals.total[half]), totals.largest[half], block.head(row));
    }
  }

  OUTPUT* output_of(const RowBlock& block, int32_t row) const {
    return static_cast<OUTPUT*>(params_.output) + block.query_of(row) * params_.output_stride +
           block.head(row) * head_dim;
  }

  /// Through the shared memory of the queries: rows leave in whole lines. f32 does so in two halves.
  void store(RowBlock block, int32_t first_row, const float (&factors)[2], const Values& sums) const {
    using Chunk = Elements<OUTPUT, 16 / sizeof(OUTPUT)>;
    constexpr int passes = sizeof(OUTPUT) / 2, dims = head_dim / passes, chunks = 16 * row_chunks / warp_size;
    const uint32_t lane = thread() % warp_size, shared_row = thread() / warp_size * 16;
    const int32_t rows = block.rows() - first_row;
    char* const shared = shared_.queries(group_);
#pragma unroll
    for (int pass = 0; pass < passes; ++pass) {
      sync_group();  // all have read what lies there
#pragma unroll
      for (int i = 0; i < dims / 2; i += 2) {
        const uint32_t byte = (i / 4 * 8 + 2 * (lane & 3)) * sizeof(OUTPUT);
        const float* pair = &sums[pass * (dims / 2) + i];
        char* const to = shared + GroupRows::at(shared_row + lane / 4 + i / 2 % 2 * 8, byte / 16) + byte % 16;
        *reinterpret_cast<Elements<OUTPUT, 2>*>(to) = {from_float<OUTPUT>(pair[0] * factors[i / 2 % 2]),
                                                       from_float<OUTPUT>(pair[1] * factors[i / 2 % 2])};
      }
      __syncwarp();
      if (params_.output_in_chunks) {
        Chunk values[chunks];
#pragma unroll
        for (int i = 0; i < chunks; ++i) {
          const uint32_t index = i * warp_size + lane;
          values[i] = *reinterpret_cast<const Chunk*>(
              shared + GroupRows::at(shared_row + index / row_chunks, index % row_chunks));
        }
#pragma unroll
        for (int i = 0; i < chunks; ++i) {
          const uint32_t index = i * warp_size + lane;
          const auto row = static_cast<int32_t>(index / row_chunks);
          if (row >= rows) continue;
          reinterpret_cast<Chunk*>(output_of(block, first_row + row) + pass * dims)[index % row_chunks] = values[i];
        }
      } else {
#pragma unroll 1
        for (uint32_t i = lane; i < 16U * dims; i += warp_size) {
          const auto row = static_cast<int32_t>(i / dims);
          const uint32_t byte = i % dims * sizeof(OUTPUT);
          if (row >= rows) break;
          output_of(block, first_row + row)[pass * dims + i % dims] =
              *reinterpret_cast<const OUTPUT*>(shared + GroupRows::at(shared_row + row, byte / 16) + byte % 16);
        }
      }
    }
    if (group_ == 0 && block.kv_head == params_.kv_heads - 1) {
      store_pads(params_, block.first, block.queries, static_cast<int32_t>(thread()), group_threads);
    }
  }

  const AttentionParams& params_;
  const Shared& shared_;
  int group_;
  bool alone_ = false;  // the other has no rows
  StagePlace place_;
};

}  // namespace

extern "C" __global__ void __launch_bounds__(group_threads*(1 + wide.consumers), 1)
    attention_wgmma(const __grid_constant__ AttentionWgmmaParams params) {
  extern __shared__ __align__(1024) char shared_memory[];
  const Shared shared{shared_memory, shared_address(shared_memory)};
  let_successor_start();
  // A step's counts, spans and positions are no launch's results: they can be read while predecessors run.
  Work work;  // the producer's
  Sharing sharing(params.attention, work);
  if (threadIdx.x < warp_size) {
    sharing.begin_tiles(static_cast<int32_t>(gridDim.x), wide.consumers * group_rows);
  } else if (threadIdx.x == warp_size) {
    fetch(params.attention.spans);
    fetch(params.attention.cache.page_tables);
    prefetch_map(params.pages_map);
    for (int stage = 0; stage < wide.stages; ++stage) {
      init_barrier(shared.filled(stage), 1);
      init_barrier(shared.free(stage), 4 * wide.consumers);
    }
    for (int slot = 0; slot < tile_slots; ++slot) {
      init_barrier(shared.tile_known(slot), 1);
      init_barrier(shared.tile_free(slot), 4 * wide.consumers);
    }
    publish_barriers();
  }
  __syncthreads();
  if (threadIdx.x < group_threads) {
    shrink_registers<40>();
    if (threadIdx.x < warp_size) produce(params, sharing, shared);
  } else {
    grow_registers<232>();
    Consumer(params.attention, shared);
  }
  wait_for_predecessors();
}
