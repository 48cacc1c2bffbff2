// Linear on sm_90a (kernels/families.h), of bf16 or of codes: a persistent grid. One warpgroup has the copy engine fill
// a ring of stages, each with 128 bytes of k of both operands; others multiply.
//
// Defines, beside those of epilogue.cuh:
//   TILE_N     columns of a tile: of the weight's packed rows, or swapped of the activations' rows
//   FRAGMENTS  blocks of 64 rows that a warpgroup multiplies with them
//   CONSUMERS  warpgroups that multiply: 1 to 3
//   TURNS      1: two have a tile each, and while one finishes the other multiplies; 0: they share one
//   STAGES     of the ring
//   SPLIT      parts of k, a block of a cluster each, whose sums meet in its order (a tile a cluster); 1: none
//   SWAPPED    1: the weight is on the rows: for rows of activations that are few, or that would not fill tiles of 64
//   GROUP      where it is defined, the weight has codes of four bits (four_bits.cuh), and SWAPPED is 1: a warpgroup
//              widens its rows from the ring into registers, which are the products' first operand
//
// The launch may begin before its predecessor ends: weights are constants, and their first stages are loaded at once.
#define WGMMA_N TILE_N
#define EPILOGUE_BATCH (TURNS ? 2 : CONSUMERS == 3 ? 4 : 8)
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/linear_wgmma_params.h"
#include "kernels/cuda/prelude.cuh"
#include "kernels/cuda/wgmma.cuh"
#ifdef GROUP
#include "kernels/cuda/four_bits.cuh"
#endif

using namespace incipit;

namespace {

constexpr int row_bytes = 128, block_k = row_bytes / sizeof(WEIGHT);
constexpr int group_rows = 64 * FRAGMENTS;
constexpr int sharers = TURNS ? 1 : CONSUMERS;  // warpgroups that multiply a tile
constexpr int tile_m = sharers * group_rows;
#ifdef GROUP
constexpr int m_row_bytes = block_bytes;
static_assert(SWAPPED && block_k == block_inputs);
#else
constexpr int m_row_bytes = row_bytes;
#endif
constexpr int m_bytes = tile_m * m_row_bytes, stage_bytes = m_bytes + TILE_N * row_bytes;
constexpr int input_rows = SWAPPED ? TILE_N : tile_m, weight_rows = SWAPPED ? tile_m : TILE_N;
constexpr int input_at = SWAPPED ? m_bytes : 0, weight_at = SWAPPED ? 0 : m_bytes;  // within a stage

/// Tiles that read the same weights at about the same time: these need not be kept behind them, if they are no more.
constexpr int few_readers = 4;

/// A tile's f32 residual comes through the ring behind its k, while the last products are under way: `stage_boxes`
/// boxes of 16 columns a stage. Where warpgroups take turns, products hide what it takes.
constexpr bool stages_residual = RESIDUAL && sizeof(OUTPUT) == 4 && !linear_gated && !TURNS && !SWAPPED && SPLIT == 1;
constexpr int box_columns = 16, boxes = TILE_N / box_columns, box_bytes = tile_m * box_columns * 4;
constexpr int stage_boxes = stage_bytes < box_bytes ? 1 : stage_bytes / box_bytes, residual_stages = (boxes + stage_boxes - 1) / stage_boxes;
static_assert(!stages_residual || (TILE_N % box_columns == 0 && residual_stages <= STAGES));

using Sums = LinearSum[FRAGMENTS][TILE_N / 2];

/// Shared memory: the ring, then a barrier a stage that its bytes arrive at, and one that it is free again at.
struct Ring {
  uint32_t base;
  uint32_t stage(int number) const { return base + number * stage_bytes; }
  uint32_t filled(int number) const { return base + STAGES * stage_bytes + 8 * number; }
  uint32_t free(int number) const { return filled(STAGES + number); }
};

/// What this block does: tiles, those of the same weights after one another, and a part of k.
struct Work {
  int32_t rows, row_tiles, tiles;
  int first_tile, step;  // of this block, or cluster
  int first_k, k_count;  // blocks of k

  explicit Work(const LinearWgmmaParams& params) {
    rows = rows_of(params.counts);
    row_tiles = (rows + input_rows - 1) / input_rows;
    tiles = row_tiles * ((params.finish.packed_rows + weight_rows - 1) / weight_rows);
    first_tile = static_cast<int>(blockIdx.x) / SPLIT;
    step = static_cast<int>(gridDim.x) / SPLIT;
    const int part = SPLIT > 1 ? static_cast<int>(block_in_cluster()) : 0;
    first_k = params.k_blocks * part / SPLIT;
    k_count = params.k_blocks * (part + 1) / SPLIT - first_k;
  }
  int32_t first_row(int tile) const { return tile % row_tiles * input_rows; }
  int32_t first_packed(int tile) const { return tile / row_tiles * weight_rows; }
  bool has_staged_residual(const LinearFinish& finish, int tile) const {
    return stages_residual && finish.vectors && first_packed(tile) + TILE_N <= finish.width;
  }
};

/// The producer: one thread.
void fill_ring(const LinearWgmmaParams& params, const Ring& ring, const Work& work) {
  const auto load_weight = [&](int packed, int k, int stage) {
#ifdef GROUP
    const int32_t at = (work.first_k + k) * block_bytes;
#else
    const int32_t at = (work.first_k + k) * block_k;
#endif
    const uint32_t to = ring.stage(stage) + weight_at;
    if (work.row_tiles <= few_readers) {
      load_box_once(to, params.weight_map, ring.filled(stage), at, packed);
    } else {
      load_box(to, params.weight_map, ring.filled(stage), at, packed);
    }
  };
  int ahead = 0;  // stages whose weights come before the launch may read what others write
  if (work.first_tile < work.tiles) {
    const int32_t packed = work.first_packed(work.first_tile);
    for (; ahead < STAGES && ahead < work.k_count; ++ahead) {
      expect_bytes(ring.filled(ahead), stage_bytes);
      load_weight(packed, ahead, ahead);
    }
  }
  wait_for_predecessors();
  RingPlace<STAGES> place;
  place.parity = 1;  // all stages are free
  for (int tile = work.first_tile; tile < work.tiles; tile += work.step) {
    const int32_t row = work.first_row(tile), packed = work.first_packed(tile);
    for (int k = 0; k < work.k_count; ++k, place.next()) {
      if (ahead > 0) {
        --ahead;
      } else {
        wait_for_phase(ring.free(place.stage), place.parity);
        expect_bytes(ring.filled(place.stage), stage_bytes);
        load_weight(packed, k, place.stage);
      }
      load_box(ring.stage(place.stage) + input_at, params.input_map, ring.filled(place.stage),
               (work.first_k + k) * block_k, row);
    }
    if (!work.has_staged_residual(params.finish, tile)) continue;
    for (int box = 0; box < boxes; ++box) {
      const int within = box % stage_boxes;
      if (within == 0) {
        wait_for_phase(ring.free(place.stage), place.parity);
        expect_bytes(ring.filled(place.stage), min(stage_boxes, boxes - box) * box_bytes);
      }
      load_box(ring.stage(place.stage) + within * box_bytes, params.residual_map, ring.filled(place.stage),
               packed + box * box_columns, row);
      if (within == stage_boxes - 1 || box == boxes - 1) place.next();
    }
  }
}

/// Registers of a thread that loads, and of one that multiplies: 65,536 for all.
#ifdef CACHE
constexpr bool crowded = linear_codes;  // its epilogue
#else
constexpr bool crowded = false;
#endif
constexpr int producer_registers = crowded ? 24 : CONSUMERS == 3 ? 32 : 40;
constexpr int consumer_registers = CONSUMERS == 3 ? 160 : crowded ? 240 : 232;

/// A warp has read a stage.
void give_back(const Ring& ring, int stage) {
  if (threadIdx.x % warp_size == 0) arrive(ring.free(stage));
}

void clear(Sums& sums) {
#pragma unroll
  for (int fragment = 0; fragment < FRAGMENTS; ++fragment) {
#pragma unroll
    for (int i = 0; i < TILE_N / 2; ++i) sums[fragment][i] = 0;
  }
}

#ifdef GROUP
/// A thread's codes of a stage: of rows lane / 4 and lane / 4 + 8 of its warp's 16 of a fragment, with the factors of the
/// groups that the stage has.
struct StageCodes {
  static constexpr int groups = GROUP < block_k ? block_k / GROUP : 1;
  uint2 codes[2];
  uint32_t scales[groups][2], zeros[groups][2];  // twice each

  void load_factors(const LinearWgmmaParams& params, int32_t packed, int32_t k) {
#pragma unroll
    for (int i = 0; i < groups; ++i) {
      const int32_t group = min(k * block_k / GROUP + i, params.groups.count - 1);
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int32_t row = min(packed + 8 * h, params.finish.packed_rows - 1);
        scales[i][h] = multiply_two(scale_of(params.groups, row, group).bits * 0x10001U, 0x41804180);  // code_units
        zeros[i][h] = negative_zero(zero_point_of(params.groups, row, group));
      }
    }
  }
  /// From a row of the tile on.
  void load_codes(uint32_t tile, int row) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      codes[h] = load_two_shared(tile + (row + 8 * h) * block_bytes + lane_of_warp() % 4 * lane_bytes);
    }
  }
  template <int step>
  void widen_step(uint32_t (&operand)[4]) const {
    constexpr int group = groups == 1 ? 0 : step / 2;
    widen<step>(operand, codes[0], codes[1]);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      operand[i] = multiply_two(add_two(operand[i], zeros[group][i % 2]), scales[group][i % 2]);
    }
  }
};

/// Multiplies one tile's stages, and gives them back. While one warpgroup widens, another one's products are under way.
void multiply_tile(const LinearWgmmaParams& params, const Ring& ring, RingPlace<STAGES>& place, const Work& work,
                   int tile, int first_row, Sums& sums) {
  clear(sums);
  const int row = first_row + static_cast<int>(threadIdx.x) / warp_size % 4 * 16 + lane_of_warp() / 4;
  int previous = 0;
  for (int k = 0; k < work.k_count; ++k, place.next()) {
    StageCodes codes[FRAGMENTS];
#pragma unroll
    for (int f = 0; f < FRAGMENTS; ++f) {
      codes[f].load_factors(params, work.first_packed(tile) + row + f * 64, work.first_k + k);
    }
    wait_for_phase(ring.filled(place.stage), place.parity);
#pragma unroll
    for (int f = 0; f < FRAGMENTS; ++f) codes[f].load_codes(ring.stage(place.stage), row + f * 64);
    wait_for_products<0>();  // which have read the registers
    if (k > 0) give_back(ring, previous);
    previous = place.stage;
    uint32_t operands[FRAGMENTS][4][4];
#pragma unroll
    for (int f = 0; f < FRAGMENTS; ++f) {
      codes[f].widen_step<0>(operands[f][0]), codes[f].widen_step<1>(operands[f][1]);
      codes[f].widen_step<2>(operands[f][2]), codes[f].widen_step<3>(operands[f][3]);
    }
    const uint64_t n = operand_at(ring.stage(place.stage) + m_bytes);
    begin_products();
#pragma unroll
    for (int step = 0; step < 4; ++step) {
#pragma unroll
      for (int f = 0; f < FRAGMENTS; ++f) multiply_rows(sums[f], operands[f][step], n + 2 * step);
    }
    end_products();
  }
}
#else
/// Multiplies one tile's stages, and gives them back.
void multiply_tile(const LinearWgmmaParams&, const Ring& ring, RingPlace<STAGES>& place, const Work& work, int,
                   int first_row, Sums& sums) {
  clear(sums);
  int previous = 0;
  for (int k = 0; k < work.k_count; ++k, place.next()) {
    wait_for_phase(ring.filled(place.stage), place.parity);
    const uint64_t m = operand_at(ring.stage(place.stage) + first_row * row_bytes);
    const uint64_t n = operand_at(ring.stage(place.stage) + m_bytes);
    begin_products();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int fragment = 0; fragment < FRAGMENTS; ++fragment) {
        multiply(sums[fragment], m + fragment * (64 * row_bytes / 16) + 2 * i, n + 2 * i);
      }
    }
    end_products();
    wait_for_products<1>();
    if (k > 0) give_back(ring, previous);
    previous = place.stage;
  }
}
#endif

/// Gives back the stages of a tile of which the warpgroup has no row.
void pass_tile(const Ring& ring, RingPlace<STAGES>& place, int count) {
  for (int i = 0; i < count; ++i, place.next()) {
    wait_for_phase(ring.filled(place.stage), place.parity);
    give_back(ring, place.stage);
  }
}

/// Where a warp's fragments of a tile are, from a row and a column of the tile on.
FragmentPlace place_of(const Work& work, int tile, int first_row, int first_column) {
  const int warp_row = first_row + static_cast<int>(threadIdx.x) / warp_size % 4 * 16;
  return {work.first_row(tile) + (SWAPPED ? first_column : warp_row),
          work.first_packed(tile) + (SWAPPED ? warp_row : first_column), work.rows, 64};
}

/// What the rows of a tile need to be finished, found before its sums are there.
struct TileRows {
#ifdef CACHE
  // Swapped, of the columns that the block finishes.
  WarpPages<SWAPPED ? TILE_N / SPLIT : 16 * FRAGMENTS> pages;
#endif
  TileRows(const LinearWgmmaParams& params, const Work& work, int tile, int first_row) {
#ifdef CACHE
    const int first_column = SWAPPED && SPLIT > 1 ? static_cast<int>(block_in_cluster()) * (TILE_N / SPLIT) : 0;
    pages = {params.finish, place_of(work, tile, first_row, first_column), SWAPPED ? 16 : 64,
             work.first_packed(tile) + weight_rows};
#endif
  }
};

template <int groups>
void finish(const LinearWgmmaParams& params, const FragmentPlace& place, const TileRows& rows,
            const LinearSum (&sums)[FRAGMENTS][groups * 4]) {
  const RowScales scales{params.input_scales, 0};
#if defined(CACHE) && SWAPPED
  finish_swapped_page_fragments<FRAGMENTS, groups>(params.finish, sums, place, scales, rows.pages);
#elif defined(CACHE)
  finish_page_fragments<FRAGMENTS, groups>(params.finish, sums, place, scales, rows.pages);
#else
  if constexpr (SWAPPED) {
    finish_swapped_fragments<FRAGMENTS, groups>(params.finish, sums, place, scales);
  } else if constexpr (stages_residual) {  // finish_staged() does all others
    finish_edge_fragment_rows<FRAGMENTS, groups>(params.finish, sums, place, scales);
  } else {
    finish_fragments<FRAGMENTS, groups>(params.finish, sums, place, scales);
  }
#endif
}

/// A lane's share of a residual in the ring.
struct StagedResidual {
  static constexpr bool near = true;
  uint32_t stages[residual_stages];
  float4 four(int fragment, int half, int pair) const {
    const int row = fragment * 64 + half * 8;
    return load_four_shared(stages[pair / stage_boxes] + pair % stage_boxes * box_bytes + row * box_columns * 4);
  }
};

/// With the residual behind the tile's k in the ring, whose stages it gives back.
void finish_staged(const LinearWgmmaParams& params, const Ring& ring, RingPlace<STAGES>& place,
                   const FragmentPlace& tile, int first_row, const Sums& sums) {
  const int lane = lane_of_warp(), row = first_row + static_cast<int>(threadIdx.x) / warp_size % 4 * 16 + lane / 4;
  StagedResidual residual;
  const int first = place.stage;
#pragma unroll
  for (int i = 0; i < residual_stages; ++i, place.next()) {
    wait_for_phase(ring.filled(place.stage), place.parity);
    residual.stages[i] = ring.stage(place.stage) + (row * box_columns + lane % 2 * 8 + lane % 4 / 2 * 4) * 4;
  }
  finish_wide_fragment_rows<FRAGMENTS, TILE_N / 8>(params.finish, sums, tile, RowScales{params.input_scales, 0},
                                                   residual);
  __syncwarp();
  for (int i = 0; i < residual_stages; ++i) give_back(ring, (first + i) % STAGES);
}

/// The blocks of a cluster have sums of a tile over a part of k each. They meet in the order of k: each block finishes
/// a share of the columns.
void finish_split(const LinearWgmmaParams& params, const Ring& ring, const Work& work, int consumer,
                  const TileRows& rows, const Sums& sums) {
  constexpr int values = FRAGMENTS * TILE_N / 2, share = TILE_N / 2 / SPLIT;
  const uint32_t mine = ring.base + (consumer * values * 128 + static_cast<int>(threadIdx.x) % 128) * 4;
  sync_threads(1, 128 * CONSUMERS);  // all have read the ring
#pragma unroll
  for (int fragment = 0; fragment < FRAGMENTS; ++fragment) {
#pragma unroll
    for (int i = 0; i < TILE_N / 2; ++i) store_shared(mine + (fragment * (TILE_N / 2) + i) * 512, sums[fragment][i]);
  }
  sync_cluster();
  const int part = static_cast<int>(block_in_cluster());
  LinearSum met[FRAGMENTS][share];
#pragma unroll
  for (int fragment = 0; fragment < FRAGMENTS; ++fragment) {
#pragma unroll
    for (int i = 0; i < share; ++i) met[fragment][i] = 0;
  }
#pragma unroll
  for (int from = 0; from < SPLIT; ++from) {
    const uint32_t theirs = address_in(mine, from) + part * share * 512;
#pragma unroll
    for (int fragment = 0; fragment < FRAGMENTS; ++fragment) {
#pragma unroll
      for (int i = 0; i < share; ++i) {
        LinearSum sum;
        load_from_cluster(theirs + (fragment * (TILE_N / 2) + i) * 512, sum);
        met[fragment][i] += sum;
      }
    }
  }
  sync_cluster();  // the others have read mine
  finish<share / 4>(params, place_of(work, work.first_tile, consumer * group_rows, part * share * 2), rows, met);
}

/// A warpgroup that multiplies.
void consume(const LinearWgmmaParams& params, const Ring& ring, const Work& work, int consumer) {
  const int first_row = TURNS ? 0 : consumer * group_rows;  // of the tile
  RingPlace<STAGES> place;
  if (TURNS) place.advance(consumer * work.k_count);
  for (int tile = work.first_tile + (TURNS ? consumer * work.step : 0); tile < work.tiles;
       tile += (TURNS ? 2 : 1) * work.step) {
    const TileRows rows(params, work, tile, first_row);
    // A phase can be told from the next one's only: each waits for the other's stages to have come.
    if (TURNS && tile != work.first_tile) sync_threads(2 + consumer, 256);
    if (!TURNS && !SWAPPED && SPLIT == 1 && work.first_row(tile) + first_row >= work.rows) {
      pass_tile(ring, place, work.k_count + (work.has_staged_residual(params.finish, tile) ? residual_stages : 0));
      continue;
    }
    Sums sums;
    multiply_tile(params, ring, place, work, tile, first_row, sums);
    if (TURNS && tile + work.step < work.tiles) arrive_threads(3 - consumer, 256);
    wait_for_products<0>();
    give_back(ring, (place.stage + STAGES - 1) % STAGES);
    if (TURNS) place.advance(work.k_count);
    wait_for_predecessors();
    if constexpr (stages_residual) {
      if (work.has_staged_residual(params.finish, tile)) {
        finish_staged(params, ring, place, place_of(work, tile, first_row, 0), first_row, sums);
        continue;
      }
    }
    if constexpr (SPLIT > 1) {
      finish_split(params, ring, work, consumer, rows, sums);
    } else {
      finish<TILE_N / 8>(params, place_of(work, tile, first_row, 0), rows, sums);
    }
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128 * (1 + CONSUMERS), 1)
    linear_wgmma(const __grid_constant__ LinearWgmmaParams params) {
  extern __shared__ __align__(1024) unsigned char shared[];
  const Ring ring{shared_address(shared)};
  let_attention_start(params.finish.pages.step_sequences());
  const Work work(params);
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < STAGES; ++stage) {
      init_barrier(ring.filled(stage), 1);
      init_barrier(ring.free(stage), 4 * sharers);
    }
    publish_barriers();
  }
  __syncthreads();
  const int group = static_cast<int>(threadIdx.x) / 128;
  if (group == 0) {
    shrink_registers<producer_registers>();
    if (threadIdx.x == 0) {
      fill_ring(params, ring, work);
    } else if (threadIdx.x >= warp_size && blockIdx.x == 0) {
      wait_for_predecessors();
      store_pads(params.finish, 0, work.rows, threadIdx.x - warp_size, 128 - warp_size);
    }
    __syncwarp();
    if (SPLIT > 1 && work.first_tile < work.tiles) {  // the consumers' two meetings
      sync_cluster();
      sync_cluster();
    }
  } else {
    grow_registers<consumer_registers>();
    consume(params, ring, work, group - 1);
  }
  wait_for_predecessors();
}
