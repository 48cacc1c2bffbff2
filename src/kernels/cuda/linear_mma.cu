// Linear (kernels/families.h) of bf16 and int8 by mma.sync, for GPUs since sm_80: a block has a tile, which its warps
// share, and copies both operands' next 64 bytes of k into a ring of stages while it multiplies. Every sum is added in
// order of k by one warp.
//
// Defines, beside those of epilogue.cuh:
//   TILE_M, TILE_N    rows of activations and packed rows of a block; swapped, the other way about
//   WARPS_M, WARPS_N  that share them
//   STAGES            of the ring
//   SWAPPED           1: packed rows are on the fragments' rows, for few rows of activations
//
// In a stage the four 16-byte chunks of a row are turned by the row's number, so that eight rows of a matrix lie in
// different banks. Rows beyond the last are the last one again: their sums are dropped.
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/linear_quantize.cuh"
#include "kernels/cuda/mma.cuh"

using namespace incipit;

namespace {

constexpr int warps = WARPS_M * WARPS_N, threads = warps * warp_size;
constexpr int warp_m = TILE_M / WARPS_M, warp_n = TILE_N / WARPS_N;
constexpr int fragments = warp_m / 16, groups = warp_n / 8;
constexpr int sums_of_lane = fragments * groups * 4;
constexpr int blocks_at_once = threads > 128 ? 1 : sums_of_lane >= 128 ? 2 : sums_of_lane >= 64 ? 3 : 4;

constexpr int row_bytes = 64, chunk_bytes = 16, chunks = row_bytes / chunk_bytes;
constexpr int stage_bytes = (TILE_M + TILE_N) * row_bytes;
constexpr int input_rows = SWAPPED ? TILE_N : TILE_M, weight_rows = SWAPPED ? TILE_M : TILE_N;
constexpr int input_at = SWAPPED ? TILE_M * row_bytes : 0, weight_at = SWAPPED ? 0 : TILE_M * row_bytes;  // in a stage
constexpr bool quantizes = linear_codes && sizeof(INPUT) != 1;

inline uint32_t chunk_at(int32_t row, int32_t chunk) {
  return static_cast<uint32_t>(row * row_bytes + (chunk ^ row / 2 % chunks) * chunk_bytes);
}

/// The chunks of an operand's stage that are this thread's.
template <int tile_rows, typename Visit>
inline void for_own_chunks(Visit visit) {
  constexpr int count = (tile_rows * chunks + threads - 1) / threads;
#pragma unroll
  for (int i = 0; i < count; ++i) {
    const int32_t at = static_cast<int32_t>(threadIdx.x) + i * threads;
    if (tile_rows * chunks % threads != 0 && at >= tile_rows * chunks) continue;
    visit(i, at / chunks, at % chunks);
  }
}

/// Rows of an operand: `from` is the tile's first one, `last` the number of the last one there is, from there.
struct OperandRows {
  const std::byte* from;
  int64_t stride;  // bytes
  int32_t last;

  const std::byte* at(int32_t row, int64_t byte) const { return from + min(row, last) * stride + byte; }
};

template <int tile_rows>
inline void copy_stage(uint32_t to, const OperandRows& rows, int32_t stage) {
  for_own_chunks<tile_rows>([&](int, int32_t row, int32_t chunk) {
    copy_16(to + chunk_at(row, chunk), rows.at(row, int64_t{stage} * row_bytes + chunk * chunk_bytes));
  });
}

/// The input of a kernel that makes its codes: values are loaded before products and stored as codes behind them, a
/// half of a thread's chunks at a time, so that they are few registers.
template <typename Input>
struct QuantizedStage {
  static constexpr int count = (input_rows * chunks + threads - 1) / threads, most = (count + 1) / 2;
  float4 values[most][chunk_bytes / 4];

  static bool is_in(int i, int half) { return i / most == half; }
  void load(const OperandRows& rows, int32_t stage, int half) {
    for_own_chunks<input_rows>([&](int i, int32_t row, int32_t chunk) {
      if (!is_in(i, half)) return;
      const auto* from = reinterpret_cast<const Input*>(rows.at(row, 0)) + stage * row_bytes + chunk * chunk_bytes;
#pragma unroll
      for (int j = 0; j < chunk_bytes / 4; ++j) values[i % most][j] = load_four(from + 4 * j);
    });
  }
  void store(std::byte* to, const float* scales, const float* reciprocals, int half) const {
    for_own_chunks<input_rows>([&](int i, int32_t row, int32_t chunk) {
      if (!is_in(i, half)) return;
      RowQuantizer quantizer;
      quantizer.scale = scales[row], quantizer.reciprocal = reciprocals[row];
      const float4(&x)[chunk_bytes / 4] = values[i % most];
      *reinterpret_cast<uint4*>(to + chunk_at(row, chunk)) =
          uint4{quantizer.codes(x[0]), quantizer.codes(x[1]), quantizer.codes(x[2]), quantizer.codes(x[3])};
    });
  }
};

/// Where a lane's rows of matrices lie in a stage, of its warp's share of both operands. The other half of a stage's k
/// is 32 bytes away, either way.
struct MatrixPlace {
  uint32_t m, n;
  MatrixPlace() {
    const auto warp = static_cast<int32_t>(threadIdx.x) / warp_size;
    const int32_t lane = lane_of_warp();
    m = warp / WARPS_N * warp_m * row_bytes + chunk_at(lane % 16, lane / 16);
    n = (TILE_M + warp % WARPS_N * warp_n) * row_bytes + chunk_at(lane / 16 * 8 + lane % 8, lane / 8 % 2);
  }
};

/// Half a stage: 32 bytes of k.
inline void multiply_half(LinearSum (&sums)[fragments][groups * 4], uint32_t stage, const MatrixPlace& place,
                          int half) {
  uint32_t m[fragments][4], n[groups][2];
#pragma unroll
  for (int f = 0; f < fragments; ++f) {
    load_matrices(m[f], stage + (place.m ^ static_cast<uint32_t>(half * 32)) + f * 16 * row_bytes);
  }
#pragma unroll
  for (int g = 0; g < groups; g += 2) {
    uint32_t words[4];
    load_matrices(words, stage + (place.n ^ static_cast<uint32_t>(half * 32)) + g * 8 * row_bytes);
#pragma unroll
    for (int i = 0; i < 4; ++i) n[g + i / 2][i % 2] = words[i];
  }
#pragma unroll
  for (int f = 0; f < fragments; ++f) {
#pragma unroll
    for (int g = 0; g < groups; ++g) multiply_add(sums[f] + g * 4, m[f], n[g]);
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(threads, blocks_at_once)
    linear_mma(const __grid_constant__ LinearParams params) {
  extern __shared__ __align__(128) std::byte ring[];
  __shared__ float own_scales[quantizes ? input_rows : 1], own_reciprocals[quantizes ? input_rows : 1];
  const LinearFinish& finish = params.finish;
  const int32_t rows = rows_of(params.counts);
  const auto first_row = static_cast<int32_t>(blockIdx.x) * input_rows;
  const auto first_packed = static_cast<int32_t>(blockIdx.y) * weight_rows;
  let_attention_start(finish.pages.step_sequences());
  if (first_row >= rows) return wait_for_predecessors();

  const int64_t weight_stride = params.weight_stride * static_cast<int64_t>(sizeof(WEIGHT));
  const OperandRows weight{static_cast<const std::byte*>(params.weight) + first_packed * weight_stride, weight_stride,
                           finish.packed_rows - 1 - first_packed};
  const int64_t input_stride = params.input_stride * static_cast<int64_t>(sizeof(INPUT));
  const OperandRows input{static_cast<const std::byte*>(params.input) + first_row * input_stride, input_stride,
                          rows - 1 - first_row};
  const int32_t stages = (params.k * static_cast<int32_t>(sizeof(WEIGHT)) + row_bytes - 1) / row_bytes;
  const uint32_t ring_at = shared_address(ring);

  // Weights are constants: the first ones may come before the launch's predecessor is done.
#pragma unroll
  for (int stage = 0; stage < STAGES - 1; ++stage) {
    if (stage < stages) copy_stage<weight_rows>(ring_at + stage * stage_bytes + weight_at, weight, stage);
  }
  wait_for_predecessors();
  QuantizedStage<INPUT> quantized;
  if constexpr (quantizes) {
    const auto warp = static_cast<int32_t>(threadIdx.x) / warp_size;
    for (int32_t row = warp; row < input_rows; row += warps) {
      const RowQuantizer quantizer = quantizer_by_warp(reinterpret_cast<const INPUT*>(input.at(row, 0)), params.k);
      if (lane_of_warp() == 0) own_scales[row] = quantizer.scale, own_reciprocals[row] = quantizer.reciprocal;
    }
    __syncthreads();
  }
#pragma unroll
  for (int stage = 0; stage < STAGES - 1; ++stage) {
    if (stage < stages) {
      if constexpr (quantizes) {
        for (int half = 0; half < 2; ++half) {
          quantized.load(input, stage, half);
          quantized.store(ring + stage * stage_bytes + input_at, own_scales, own_reciprocals, half);
        }
      } else {
        copy_stage<input_rows>(ring_at + stage * stage_bytes + input_at, input, stage);
      }
    }
    end_copy_group();
  }

  LinearSum sums[fragments][groups * 4] = {};
  const MatrixPlace matrices;
  int here = 0, free = STAGES - 1;  // where this stage lies in the ring, and where the one that is loaded next
  for (int32_t stage = 0; stage < stages; ++stage) {
    wait_for_copy_groups<STAGES - 2>();
    __syncthreads();  // all threads' copies have come, and all have read the stage before
    const int32_t next = stage + STAGES - 1;
    const bool has_next = next < stages;
    if (has_next) {
      copy_stage<weight_rows>(ring_at + free * stage_bytes + weight_at, weight, next);
      if constexpr (!quantizes) copy_stage<input_rows>(ring_at + free * stage_bytes + input_at, input, next);
    }
    end_copy_group();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if constexpr (quantizes) {
        if (has_next) quantized.load(input, next, half);
      }
      multiply_half(sums, ring_at + here * stage_bytes, matrices, half);
      if constexpr (quantizes) {
        if (has_next) quantized.store(ring + free * stage_bytes + input_at, own_scales, own_reciprocals, half);
      }
    }
    here = here + 1 == STAGES ? 0 : here + 1;
    free = free + 1 == STAGES ? 0 : free + 1;
  }

  const auto warp = static_cast<int32_t>(threadIdx.x) / warp_size;
  const int32_t at_m = warp / WARPS_N * warp_m, at_n = warp % WARPS_N * warp_n;
  const FragmentPlace place{first_row + (SWAPPED ? at_n : at_m), first_packed + (SWAPPED ? at_m : at_n), rows};
  const RowScales scales = quantizes ? RowScales{own_scales, first_row} : RowScales{params.input_scales, 0};
  if constexpr (SWAPPED) {
    finish_swapped_fragments<fragments, groups>(finish, sums, place, scales);
  } else {
    finish_fragments<fragments, groups>(finish, sums, place, scales);
  }
  if (first_packed + weight_rows >= finish.packed_rows) {
    store_pads(finish, first_row, min(first_row + input_rows, rows));
  }
}
