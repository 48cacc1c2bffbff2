// Linear (kernels/families.h) of bf16 for few rows, as one of many launches that are short. What counts is the time
// from the end of the predecessor to the launch's own, of which instructions that are fetched for the first time take
// most: so there are few, and k is known.
//
// A block has some units of UNIT packed rows, one behind the other, through a ring of RING units in shared memory. A
// thread copies what it reads itself, and waits for nobody. In small models the ring holds all that a block has, and is
// filled while the launches before are computed.
//
// Warps share k: warp w has every eighth piece of 32 from the w-th on, OWN of them at most (EVEN: all as many). A lane
// has the rows' elements that its products take in registers: any order of k will do for a product, so these are 16
// bytes in a row, which are two products' words. Warps' sums are added in order: of some units at once, a warp one.
//
// With NORM the input is an RMS norm: the rows are multiplied as they are, rounded to bf16, and the sums by the norm's
// factor, for which the warps add up squares beside.
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/linear_stream_params.h"
#include "kernels/cuda/mma.cuh"

using namespace incipit;

namespace {

constexpr int warps = 8, threads = warps * warp_size;
constexpr int halves = UNIT / 8;  // of a unit
constexpr int group_rows = 8;     // of activations
constexpr int piece_columns = 32;
constexpr int unit_bytes = OWN * halves * threads * 16;
constexpr int chains = OWN < 2 ? 1 : 2;  // of products that wait for one another

/// The lane's elements of its row; zeros where there is no row. Adds up their squares.
inline void load_rows(const LinearStreamParams& params, int32_t row, int32_t rows, int32_t first_column,
                      uint4 (&x)[OWN], float& squares) {
#pragma unroll
  for (int p = 0; p < OWN; ++p) {
    const int32_t column = first_column + p * (warps * piece_columns);
    const bool has = row < rows && (EVEN || column < params.linear.k);
#if NORM
    float4 first{}, second{};
    if (has) {
      const float* from = params.unnormed + row * params.unnormed_stride + column;
      first = *reinterpret_cast<const float4*>(from), second = *reinterpret_cast<const float4*>(from + 4);
    }
    squares = fmaf(first.x, first.x, fmaf(first.y, first.y, fmaf(first.z, first.z, fmaf(first.w, first.w, squares))));
    squares =
        fmaf(second.x, second.x, fmaf(second.y, second.y, fmaf(second.z, second.z, fmaf(second.w, second.w, squares))));
    x[p] = uint4{pack_bf16(first.x, first.y), pack_bf16(first.z, first.w), pack_bf16(second.x, second.y),
                 pack_bf16(second.z, second.w)};
#else
    const auto* from = static_cast<const bf16*>(params.linear.input) + row * params.linear.input_stride + column;
    x[p] = has ? *reinterpret_cast<const uint4*>(from) : uint4{};
#endif
  }
}

/// What a lane finishes of a unit: of one row packed rows `packed` + {0, 1} of each half.
struct Output {
  int32_t row, packed;
  PackedFactors factors[halves][2];
#ifdef CACHE
  PageBlock block;
  float2 turn[2];
#else
  static constexpr int pairs = linear_gated ? 1 : halves;
  float residual[pairs][2];

  int32_t column(int h, int i) const { return column_of_packed(packed) + h * 8 + i; }
#endif

  void prepare(const LinearFinish& finish, int32_t of_row, int32_t of_packed) {
    row = of_row, packed = of_packed;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int h = 0; h < halves; ++h) factors[h][i] = factors_of(finish, packed + h * 8 + i);
#ifdef CACHE
      if (i == 0) block = page_block(finish, packed / 16 * 16);
      if (block.pair >= 0) turn[i] = turn_of(finish.pages, row, block.pair + packed % 8 + i);
#else
#pragma unroll
      for (int h = 0; h < pairs * RESIDUAL; ++h) {
        residual[h][i] = column(h, i) < finish.width ? residual_at(finish, row, column(h, i)) : 0;
      }
#endif
    }
  }
  void store(const LinearFinish& finish, std::byte* page, const float2 (&sums)[halves]) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float values[halves];
#pragma unroll
      for (int h = 0; h < halves; ++h) values[h] = value_of(i == 0 ? sums[h].x : sums[h].y, factors[h][i], 1);
#ifdef CACHE
      if (block.pair >= 0) rotate_pair(values[0], values[halves - 1], turn[i]);
      if (block.is_there) store_page_pair(finish, row, page, block, packed % 8 + i, values[0], values[halves - 1]);
#else
#pragma unroll
      for (int h = 0; h < pairs; ++h) {
        float value = linear_gated ? activated(values[0], values[halves - 1]) : activated(values[h]);
        if constexpr (RESIDUAL) value += residual[h][i];
        if (column(h, i) < finish.width) *output_at(finish, row, column(h, i)) = from_float<OUTPUT>(value);
      }
#endif
    }
  }
};

}  // namespace

extern "C" __global__ void __launch_bounds__(threads, 2)
    linear_stream(const __grid_constant__ LinearStreamParams params) {
  extern __shared__ __align__(16) std::byte ring[];
  __shared__ float squares_of_warps[group_rows][warps];
  auto* const parts = reinterpret_cast<float2(*)[halves][warps][warp_size]>(ring + params.ring_units * unit_bytes);
  const LinearFinish& finish = params.linear.finish;
  let_attention_start(finish.pages.step_sequences());
  const auto block = static_cast<int32_t>(blockIdx.x), thread = static_cast<int32_t>(threadIdx.x);
  const int32_t warp = thread / warp_size, lane = thread % warp_size;
  const int32_t first_unit = block * params.block_units + min(block, params.longer_blocks);
  const int32_t units = params.block_units + (block < params.longer_blocks ? 1 : 0);
  const int32_t first_column = warp * piece_columns + lane % 4 * 8;

  /// Starts the copy of a unit's weights to a place of the ring.
  const auto copy_unit = [&](int32_t unit, int32_t place) {
    if (unit < units) {
#pragma unroll
      for (int h = 0; h < halves; ++h) {
        // Rows beyond the last are the last one again: their sums are dropped.
        const int32_t packed = min((first_unit + unit) * UNIT + h * 8 + lane / 4, finish.packed_rows - 1);
        const auto* from = static_cast<const bf16*>(params.linear.weight) + packed * params.linear.weight_stride;
        const uint32_t to = shared_address(ring + place * unit_bytes + (h * OWN * threads + thread) * 16);
#pragma unroll
        for (int p = 0; p < OWN; ++p) {
          const int32_t column = first_column + p * (warps * piece_columns);
          if constexpr (EVEN) {
            copy_16(to + p * (threads * 16), from + column);
          } else {
            copy_16_or_zeros(to + p * (threads * 16), from + column, column < params.linear.weight_stride ? 16 : 0);
          }
        }
      }
    }
    end_copy_group();
  };

  int32_t rows = 0;
#pragma unroll 1
  for (int32_t first_row = 0; first_row == 0 || first_row < rows; first_row += group_rows) {
#pragma unroll 1
    for (int32_t unit = 0; unit < RING; ++unit) copy_unit(unit, unit);
    // No launch of a step changes its counts, or where its pages are.
    if (first_row == 0) rows = rows_of(params.linear.counts);
    const int32_t row = first_row + lane / 4;
    std::byte* page = nullptr;
#ifdef CACHE
    if (row < rows) page = page_row(finish.pages, row);
#endif
    if (first_row == 0) wait_for_predecessors();
    if (first_row >= rows) break;
    uint4 x[OWN];
    float squares = 0;
    load_rows(params, row, rows, first_column, x, squares);
    if constexpr (NORM) {
      squares += __shfl_xor_sync(all_lanes, squares, 1);
      squares += __shfl_xor_sync(all_lanes, squares, 2);
      if (lane % 4 == 0) squares_of_warps[lane / 4][warp] = squares;
    }

    Output output;
    int32_t place = 0;
#pragma unroll 1
    for (int32_t first = 0; first < units; first += stream_batch) {
      const int32_t count = min(stream_batch, units - first);
      // Each warp finishes one of them: what it needs for that is fetched before.
      const bool finishes = warp < count && row < rows;
      if (finishes) output.prepare(finish, row, (first_unit + first + warp) * UNIT + lane % 4 * 2);
      if (first > 0) __syncthreads();  // the sums before are read
#pragma unroll 1
      for (int32_t unit = first; unit < first + count; ++unit) {
        wait_for_copy_groups<RING - 1>();
        const std::byte* const own = ring + place * unit_bytes + thread * 16;
        float sums[chains][halves][4] = {};
#pragma unroll
        for (int p = 0; p < OWN; ++p) {
          const uint32_t one[4]{x[p].x, 0, x[p].y, 0}, two[4]{x[p].z, 0, x[p].w, 0};
#pragma unroll
          for (int h = 0; h < halves; ++h) {
            const uint4 w = *reinterpret_cast<const uint4*>(own + (h * OWN + p) * (threads * 16));
            const uint32_t one_weights[2]{w.x, w.y}, two_weights[2]{w.z, w.w};
            multiply_add(sums[p % chains][h], one, one_weights);
            multiply_add(sums[p % chains][h], two, two_weights);
          }
        }
        copy_unit(unit + RING, place);
        place = place + 1 == RING ? 0 : place + 1;
#pragma unroll
        for (int h = 0; h < halves; ++h) {
          float2 sum{sums[0][h][0], sums[0][h][1]};
          if constexpr (chains > 1) sum.x += sums[chains - 1][h][0], sum.y += sums[chains - 1][h][1];
          parts[unit - first][h][warp][lane] = sum;
        }
      }
      __syncthreads();
      if (!finishes) continue;
      float factor = 1;
      if constexpr (NORM) {
        float sum = 0;
#pragma unroll
        for (int w = 0; w < warps; ++w) sum += squares_of_warps[lane / 4][w];
        factor = rsqrtf(fmaf(sum, params.inverse_k, params.epsilon));
      }
      float2 total[halves] = {};
#pragma unroll
      for (int h = 0; h < halves; ++h) {
#pragma unroll
        for (int w = 0; w < warps; ++w) {
          total[h].x += parts[warp][h][w][lane].x, total[h].y += parts[warp][h][w][lane].y;
        }
        if constexpr (NORM) total[h].x *= factor, total[h].y *= factor;
      }
      output.store(finish, page, total);
    }
    __syncthreads();  // before the next rows' sums
    if (block == 0) store_pads(finish, first_row, min(rows, first_row + group_rows));
  }
  wait_for_copy_groups<0>();
}
