// Linear (kernels/families.h) of f32 and f16 weights for few rows, in f32: a block has 16 packed rows, a warp two of
// them, gate and up if there are gates. A lane adds every 32nd vector of k in order, then the lanes' sums are added.
// ROWS rows at a time.
//
// A weight is a constant: the first of them are on their way before the launch's predecessor is done.
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/linear_gemv_params.h"
#include "kernels/cuda/linear_quantize.cuh"

using namespace incipit;

namespace {

constexpr int warps = 8, threads = warps * warp_size;
constexpr int vector = 16 / sizeof(WEIGHT);               // inputs that a lane loads at once
constexpr int step_vectors = ROWS * vector > 32 ? 2 : 4;  // as registers allow
constexpr int step_inputs = step_vectors * warp_size * vector;

/// Read once, by this warp alone.
inline uint4 load_weight(const WEIGHT* from) {
  uint4 x;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
               : "l"(from));
  return x;
}

/// The values of a vector's word: one f32, or two f16.
inline void widen(float* to, const uint4& from, float) {
  to[0] = __uint_as_float(from.x), to[1] = __uint_as_float(from.y);
  to[2] = __uint_as_float(from.z), to[3] = __uint_as_float(from.w);
}
inline void widen(float* to, const uint4& from, f16) {
  const uint32_t words[4]{from.x, from.y, from.z, from.w};
#pragma unroll
  for (int i = 0; i < 8; ++i) to[i] = to_float(f16{static_cast<uint16_t>(words[i / 2] >> (i % 2 * 16))});
}

}  // namespace

extern "C" __global__ void __launch_bounds__(threads, 2) linear_gemv_fma(const __grid_constant__ LinearParams params) {
  const LinearFinish& finish = params.finish;
  const auto warp = static_cast<int32_t>(threadIdx.x) / warp_size;
  const int32_t lane = lane_of_warp(), packed = static_cast<int32_t>(blockIdx.x) * 16 + warp;
  const WEIGHT* from_weight[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    // Beyond the last row is the last one again: its sum is dropped.
    from_weight[h] = static_cast<const WEIGHT*>(params.weight) +
                     min(packed + 8 * h, finish.packed_rows - 1) * params.weight_stride + lane * vector;
  }
  let_attention_start(finish.pages.step_sequences());
  uint4 weights[step_vectors][2];
  const auto load_weights = [&](int32_t first) {
#pragma unroll
    for (int i = 0; i < step_vectors; ++i) {
      const int32_t at = first + i * warp_size * vector;
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        weights[i][h] = at + lane * vector < params.k ? load_weight(from_weight[h] + at) : uint4{};
      }
    }
  };
  load_weights(0);
  wait_for_predecessors();
  const int32_t rows = rows_of(params.counts);

  for (int32_t first_row = 0; first_row < rows; first_row += ROWS) {
    if (first_row > 0) load_weights(0);
    float sums[ROWS][2] = {};
    for (int32_t first = 0; first < params.k; first += step_inputs) {
#pragma unroll
      for (int i = 0; i < step_vectors; ++i) {
        const int32_t at = first + i * warp_size * vector + lane * vector;
        float w[2][vector];
        widen(w[0], weights[i][0], WEIGHT{});
        widen(w[1], weights[i][1], WEIGHT{});
        if (at >= params.k) continue;
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
          const INPUT* from =
              static_cast<const INPUT*>(params.input) + min(first_row + r, rows - 1) * params.input_stride + at;
#pragma unroll
          for (int j = 0; j < vector; j += 4) {
            const float4 four = load_four(from + j);
            const float x[4]{four.x, four.y, four.z, four.w};
#pragma unroll
            for (int e = 0; e < 4; ++e) {
              sums[r][0] = __fmaf_rn(x[e], w[0][j + e], sums[r][0]);
              sums[r][1] = __fmaf_rn(x[e], w[1][j + e], sums[r][1]);
            }
          }
        }
      }
      if (first + step_inputs < params.k) load_weights(first + step_inputs);
    }
    // Lane r finishes row r.
    float own[2] = {};
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const float sum = warp_sum(sums[r][h]);
        if (lane == r) own[h] = sum;
      }
    }
    if (lane < ROWS && first_row + lane < rows) finish_two(finish, first_row + lane, 1, packed, own[0], own[1]);
  }
  if (blockIdx.x == gridDim.x - 1) store_pads(finish, 0, rows);
}
