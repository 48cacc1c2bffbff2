// ExpertLinear (kernels/families.h) of f32 and f16 weights, in f32: a block has 16 packed rows of an expert, a warp two
// of them, gate and up if there are gates. A lane adds every 32nd vector of k in order, then the lanes' sums are added.
// ROWS slots at a time.
#include "kernels/cuda/expert_linear.cuh"

using namespace incipit;

namespace {

constexpr int warps = 8, threads = warps * warp_size;
constexpr int vector = 4;

[[maybe_unused]] inline float4 load_weights(const float* from) { return __ldg(reinterpret_cast<const float4*>(from)); }
[[maybe_unused]] inline float4 load_weights(const f16* from) {
  const uint2 x = __ldg(reinterpret_cast<const uint2*>(from));
  const auto half = [](uint32_t word, int which) { return to_float(f16{static_cast<uint16_t>(word >> (16 * which))}); };
  return {half(x.x, 0), half(x.x, 1), half(x.y, 0), half(x.y, 1)};
}

inline float4 load_inputs(const float* from, int32_t at, int32_t k, bool vectors) {
  if (vectors) return *reinterpret_cast<const float4*>(from + at);
  const auto one = [&](int32_t i) { return i < k ? from[i] : 0.0f; };
  return {one(at), one(at + 1), one(at + 2), one(at + 3)};
}

inline float add_products(float sum, const float4& x, const float4& w) {
  sum = __fmaf_rn(x.x, w.x, sum);
  sum = __fmaf_rn(x.y, w.y, sum);
  sum = __fmaf_rn(x.z, w.z, sum);
  return __fmaf_rn(x.w, w.w, sum);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(threads)
    expert_linear_fma(const __grid_constant__ ExpertLinearParams params) {
  __shared__ ChosenSlots<threads> chosen;
  let_successor_start();
  const int32_t rows = rows_of(params.counts);
  wait_for_predecessors();
  store_expert_pads(params, rows);
  const int32_t expert = expert_of_block(params, rows);
  if (expert < 0) return;
  const LinearFinish finish = expert_finish(params, expert);
  const auto warp = static_cast<int32_t>(threadIdx.x) / warp_size;
  const int32_t packed = static_cast<int32_t>(blockIdx.y) * 16 + warp;
  // Rows beyond the last are the last one again: their sums are dropped.
  const WEIGHT* weights[2];
  for (int h = 0; h < 2; ++h) {
    weights[h] = expert_weight(params, expert) + min(packed + 8 * h, finish.packed_rows - 1) * params.weight_stride;
  }
  const int32_t step_rows = chosen.rows_at_once(params);
  for (int32_t first_row = 0; first_row < rows; first_row += step_rows) {
    const int32_t count = chosen.find(params, expert, first_row, min(first_row + step_rows, rows));
    for (int32_t first = 0; first < count; first += ROWS) {
      const float* inputs[ROWS];
#pragma unroll
      for (int r = 0; r < ROWS; ++r) {
        inputs[r] = expert_input(params, chosen.at(params, first_row, min(first + r, count - 1)));
      }
      float sums[ROWS][2] = {};
#pragma unroll 2
      for (int32_t at = lane_of_warp() * vector; at < params.k; at += warp_size * vector) {
        const float4 low = load_weights(weights[0] + at), high = load_weights(weights[1] + at);
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
          const float4 x = load_inputs(inputs[r], at, params.k, params.vectors);
          sums[r][0] = add_products(sums[r][0], x, low);
          sums[r][1] = add_products(sums[r][1], x, high);
        }
      }
#pragma unroll
      for (int r = 0; r < ROWS; ++r) {
        sums[r][0] = warp_sum(sums[r][0]);
        sums[r][1] = warp_sum(sums[r][1]);
        if (lane_of_warp() != r || first + r >= count) continue;
        SlotFinish(params, finish, chosen.at(params, first_row, first + r)).pair(packed, sums[r][0], sums[r][1]);
      }
    }
  }
}
