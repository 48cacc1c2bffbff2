// ExpertLinear (kernels/families.h) of bf16 and int8 for few rows an expert: weights go from memory straight into the
// fragments of mma.sync, eight slots that chose the expert being its other operand.
//
// A block has UNITS units of 16 packed rows of an expert, whose k its warps share in turn, 256 bytes a step. Any order
// of k will do for a product, so a lane takes 16 bytes in a row, which are two products' words. The warps' sums are
// added in order. GROUPS groups of eight slots at a time.
#include "kernels/cuda/expert_linear.cuh"
#include "kernels/cuda/mma.cuh"

using namespace incipit;

namespace {

constexpr int warps = 4, threads = warps * warp_size;
constexpr int unit_rows = 16;  // packed
constexpr int group_slots = 8;
constexpr int piece_bytes = 64;  // of a row of k, which four lanes load together
constexpr int step_pieces = 4;
constexpr int vector = 16 / sizeof(INPUT);
using Sums = LinearSum[UNITS][GROUPS * 4];

/// Read by this block alone.
inline uint4 load_weight(const WEIGHT* from) {
  uint4 x;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
               : "l"(from));
  return x;
}

template <bool vectors>
inline uint4 load_input(const INPUT* from, int32_t count) {
  if (count <= 0) return {};
  if constexpr (vectors) return *reinterpret_cast<const uint4*>(from);
  return load_elements(from, count);
}

constexpr int piece = piece_bytes / sizeof(INPUT);
inline int32_t pieces_of(int32_t k) { return (k + piece - 1) / piece; }
inline int32_t first_piece() { return static_cast<int32_t>(threadIdx.x) / warp_size * step_pieces; }

/// A step's weights, of packed rows lane / 4 and lane / 4 + 8 of each unit.
struct Weights {
  uint4 vectors[UNITS][2][step_pieces];

  /// `rows`: where a lane's packed rows begin.
  void load(const WEIGHT* const (&rows)[UNITS][2], int32_t first, int32_t pieces) {
    const int32_t quad = lane_of_warp() % 4 * vector;
#pragma unroll
    for (int unit = 0; unit < UNITS; ++unit) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
#pragma unroll
        for (int p = 0; p < step_pieces; ++p) {
          const bool has = first + p < pieces;
          vectors[unit][h][p] = has ? load_weight(rows[unit][h] + (first + p) * piece + quad) : uint4{};
        }
      }
    }
  }
};

/// Adds this warp's part of k. `weights` are those of its first step; `inputs`: of slot lane / 4 of each group, or
/// null.
template <bool vectors>
inline void multiply(Sums& sums, Weights& weights, const WEIGHT* const (&rows)[UNITS][2],
                     const INPUT* const (&inputs)[GROUPS], int32_t k) {
  const int32_t pieces = pieces_of(k), quad = lane_of_warp() % 4 * vector;
  for (int32_t first = first_piece(); first < pieces;) {
    uint4 input[GROUPS][step_pieces];
#pragma unroll
    for (int g = 0; g < GROUPS; ++g) {
#pragma unroll
      for (int p = 0; p < step_pieces; ++p) {
        const int32_t at = (first + p) * piece + quad;
        input[g][p] = inputs[g] != nullptr ? load_input<vectors>(inputs[g] + at, k - at) : uint4{};
      }
    }
#pragma unroll
    for (int p = 0; p < step_pieces; ++p) {
#pragma unroll
      for (int unit = 0; unit < UNITS; ++unit) {
        const uint4 &low = weights.vectors[unit][0][p], &high = weights.vectors[unit][1][p];
        const uint32_t early[4]{low.x, high.x, low.y, high.y}, late[4]{low.z, high.z, low.w, high.w};
#pragma unroll
        for (int g = 0; g < GROUPS; ++g) {
          const uint4& x = input[g][p];
          const uint32_t early_input[2]{x.x, x.y}, late_input[2]{x.z, x.w};
          multiply_add(sums[unit] + g * 4, early, early_input);
          multiply_add(sums[unit] + g * 4, late, late_input);
        }
      }
    }
    first += warps * step_pieces;
    if (first < pieces) weights.load(rows, first, pieces);
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(threads)
    expert_linear_gemv(const __grid_constant__ ExpertLinearParams params) {
  __shared__ ChosenSlots<threads> chosen;
  __shared__ LinearSum parts[warps][UNITS][GROUPS][warp_size][4];
  let_successor_start();
  const int32_t rows = rows_of(params.counts);
  wait_for_predecessors();
  store_expert_pads(params, rows);
  const int32_t expert = expert_of_block(params, rows);
  if (expert < 0) return;
  const LinearFinish finish = expert_finish(params, expert);
  const auto thread = static_cast<int32_t>(threadIdx.x);
  const int32_t warp = thread / warp_size, lane = lane_of_warp();
  const int32_t first_packed = static_cast<int32_t>(blockIdx.y) * UNITS * unit_rows;
  const WEIGHT* packed_rows[UNITS][2];
#pragma unroll
  for (int unit = 0; unit < UNITS; ++unit) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      // Rows beyond the last are the last one again: their sums are dropped.
      const int32_t packed = min(first_packed + unit * unit_rows + lane / 4 + 8 * h, finish.packed_rows - 1);
      packed_rows[unit][h] = expert_weight(params, expert) + packed * params.weight_stride;
    }
  }
  // Where blocks are slots', something chose the expert: its first weights come while its slots are looked for.
  Weights weights;
  bool loaded = rows * params.top_k < params.experts;
  if (loaded) weights.load(packed_rows, first_piece(), pieces_of(params.k));
  const int32_t step_rows = chosen.rows_at_once(params);
  for (int32_t first_row = 0; first_row < rows; first_row += step_rows) {
    const int32_t count = chosen.find(params, expert, first_row, min(first_row + step_rows, rows));
    for (int32_t first = 0; first < count; first += GROUPS * group_slots) {
      const INPUT* inputs[GROUPS];
#pragma unroll
      for (int g = 0; g < GROUPS; ++g) {
        const int32_t at = first + g * group_slots + lane / 4;
        inputs[g] = at < count ? expert_input(params, chosen.at(params, first_row, at)) : nullptr;
      }
      if (!loaded) weights.load(packed_rows, first_piece(), pieces_of(params.k));
      loaded = false;
      Sums sums = {};
      if (params.vectors) {
        multiply<true>(sums, weights, packed_rows, inputs, params.k);
      } else {
        multiply<false>(sums, weights, packed_rows, inputs, params.k);
      }
#pragma unroll
      for (int unit = 0; unit < UNITS; ++unit) {
#pragma unroll
        for (int i = 0; i < GROUPS * 4; ++i) parts[warp][unit][i / 4][lane][i % 4] = sums[unit][i];
      }
      __syncthreads();
      // A thread finishes pairs of packed rows that are eight apart.
      const int32_t slots = min(count - first, GROUPS * group_slots);
      for (int32_t i = thread; i < slots * UNITS * 8; i += threads) {
        const int32_t slot = i / (UNITS * 8), unit = i / 8 % UNITS, row = i % 8;
        const int32_t group = slot / group_slots, column = slot % group_slots;
        LinearSum pair[2] = {};
#pragma unroll
        for (int w = 0; w < warps; ++w) {
          const LinearSum* part = parts[w][unit][group][row * 4 + column / 2];
          pair[0] += part[column % 2];
          pair[1] += part[2 + column % 2];
        }
        const int32_t packed = first_packed + unit * unit_rows + row;
        SlotFinish(params, finish, chosen.at(params, first_row, first + slot)).pair(packed, pair[0], pair[1]);
      }
      __syncthreads();  // before the next sums
    }
  }
}
