// Linear (kernels/families.h) of bf16 and int8 for few rows, which is a matter of reading the weights once: from memory
// straight into the fragments of mma.sync, eight rows of activations being its other operand.
//
// A block has UNITS units of 16 packed rows, whose k its warps share in turn, 256 bytes a step. Any order of k will do
// for a product, so a lane takes 16 bytes in a row, which are two products' words. The warps' sums are added in order.
//
// A weight is a constant: the first of them are on their way before the launch's predecessor is done.
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/linear_gemv_params.h"
#include "kernels/cuda/linear_quantize.cuh"
#include "kernels/cuda/mma.cuh"

using namespace incipit;

namespace {

constexpr int warps = 8, threads = warps * warp_size;
constexpr int unit_rows = 16;    // packed
constexpr int group_rows = 8;    // of activations
constexpr int piece_bytes = 64;  // of a row of k, which four lanes load together
constexpr int step_pieces = 4;
constexpr bool quantizes = linear_codes && sizeof(INPUT) != 1;
constexpr int blocks_at_once = GROUPS * UNITS > (quantizes ? 1 : 2) ? 1 : 2;  // of a multiprocessor, by their registers

/// Read once, by this block alone.
inline uint4 load_weight(const std::byte* from) {
  uint4 x;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
               : "l"(from));
  return x;
}

struct Step {
  uint4 weight[UNITS][2][step_pieces];  // of packed rows lane / 4 and lane / 4 + 8
  uint4 input[GROUPS][step_pieces];     // of row lane / 4 of a group
};

inline void multiply_step(LinearSum (&sums)[UNITS][GROUPS * 4], const Step& step) {
#pragma unroll
  for (int p = 0; p < step_pieces; ++p) {
#pragma unroll
    for (int unit = 0; unit < UNITS; ++unit) {
      const uint4 &low = step.weight[unit][0][p], &high = step.weight[unit][1][p];
      const uint32_t first[4]{low.x, high.x, low.y, high.y}, second[4]{low.z, high.z, low.w, high.w};
#pragma unroll
      for (int g = 0; g < GROUPS; ++g) {
        const uint4& x = step.input[g][p];
        const uint32_t first_input[2]{x.x, x.y}, second_input[2]{x.z, x.w};
        multiply_add(sums[unit] + g * 4, first, first_input);
        multiply_add(sums[unit] + g * 4, second, second_input);
      }
    }
  }
}

/// The block makes codes of `rows` rows, at most eight, with `stride` bytes between them, and their scales.
template <typename Input>
void quantize_rows(const Input* input, int64_t input_stride, int32_t rows, int32_t k, std::byte* codes, int32_t stride,
                   float* scales) {
  __shared__ uint32_t bits_of_warps[group_rows][warps];
  const auto thread = static_cast<int32_t>(threadIdx.x);
  for (int32_t r = 0; r < rows; ++r) {
    uint32_t bits = 0;
#pragma unroll 8
    for (int32_t at = thread * values_of_16<Input>; at < k; at += threads * values_of_16<Input>) {
      bits = largest_bits(bits, input + r * input_stride + at);
    }
    bits = __reduce_max_sync(all_lanes, bits);
    if (lane_of_warp() == 0) bits_of_warps[r][thread / warp_size] = bits;
  }
  __syncthreads();
  constexpr int batch = 4;  // loads under way
  for (int32_t r = 0; r < rows; ++r) {
    uint32_t bits = 0;
#pragma unroll
    for (int w = 0; w < warps; ++w) bits = max(bits, bits_of_warps[r][w]);
    const Input* row = input + r * input_stride;
    const RowQuantizer quantizer(bits, row, k);
    if (thread == 0) scales[r] = quantizer.scale;
    for (int32_t first = thread * 4; first < k; first += 4 * threads * batch) {
      float4 values[batch];
#pragma unroll
      for (int i = 0; i < batch; ++i) {
        if (first + 4 * threads * i < k) values[i] = load_four(row + first + 4 * threads * i);
      }
#pragma unroll
      for (int i = 0; i < batch; ++i) {
        const int32_t at = first + 4 * threads * i;
        if (at < k) *reinterpret_cast<uint32_t*>(codes + r * stride + at) = quantizer.codes(values[i]);
      }
    }
    // A piece's codes behind the last four.
    const int32_t end = (k + piece_bytes - 1) / piece_bytes * piece_bytes;
    for (int32_t at = (k + 3) / 4 * 4 + thread; at < end; at += threads) {
      codes[r * stride + at] = std::byte{0};
    }
  }
  __syncthreads();
}

}  // namespace

extern "C" __global__ void __launch_bounds__(threads, blocks_at_once)
    linear_gemv(const __grid_constant__ LinearGemvParams own) {
  extern __shared__ __align__(16) std::byte codes[];  // when the kernel makes them
  __shared__ LinearSum parts[warps][UNITS][GROUPS][warp_size][4];
  __shared__ float own_scales[GROUPS * group_rows];
  const LinearParams& params = own.linear;
  const LinearFinish& finish = params.finish;
  const auto warp = static_cast<int32_t>(threadIdx.x) / warp_size;
  const int32_t lane = lane_of_warp(), quad = lane % 4 * 16;
  const int32_t pieces = (params.k * static_cast<int32_t>(sizeof(WEIGHT)) + piece_bytes - 1) / piece_bytes;
  const int32_t blocks = (finish.packed_rows + UNITS * unit_rows - 1) / (UNITS * unit_rows);
  const int64_t weight_stride = params.weight_stride * static_cast<int64_t>(sizeof(WEIGHT));
  let_successor_start();

  Step step;
  const auto load_weights = [&](int32_t block, int32_t first_piece) {
#pragma unroll
    for (int unit = 0; unit < UNITS; ++unit) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        // Rows beyond the last are the last one again: their sums are dropped.
        const int32_t packed = min((block * UNITS + unit) * unit_rows + lane / 4 + 8 * h, finish.packed_rows - 1);
        const std::byte* from = static_cast<const std::byte*>(params.weight) + packed * weight_stride + quad;
#pragma unroll
        for (int p = 0; p < step_pieces; ++p) {
          const bool has = first_piece + p < pieces;
          step.weight[unit][h][p] = has ? load_weight(from + (first_piece + p) * piece_bytes) : uint4{};
        }
      }
    }
  };
  const auto operands_place = [&](int32_t block, int32_t row, int32_t rows) {
    return FragmentPlace{row, (block * UNITS + warp) * unit_rows, rows};
  };
  auto block = static_cast<int32_t>(blockIdx.x);
  SwappedOperands<GROUPS> operands;
  load_weights(block, warp * step_pieces);
  if (warp < UNITS) load_factors(operands, finish, operands_place(block, 0, 0));
  wait_for_predecessors();
  const int32_t rows = rows_of(params.counts);

  for (int32_t first_row = 0; first_row < rows;) {
    const int32_t end_row = min(rows, first_row + (quantizes ? own.kept_rows : GROUPS * group_rows));
    // Where this lane's row of each group begins; rows that are not there are zeros.
    const std::byte* from_input[GROUPS];
#pragma unroll
    for (int g = 0; g < GROUPS; ++g) {
      const int32_t row = g * group_rows + lane / 4;
      if constexpr (quantizes) {
        const int32_t group_first = first_row + g * group_rows;
        if (group_first < end_row) {
          quantize_rows(static_cast<const INPUT*>(params.input) + group_first * params.input_stride,
                        params.input_stride, min(end_row - group_first, group_rows), params.k,
                        codes + g * group_rows * own.kept_stride, own.kept_stride, own_scales + g * group_rows);
        }
        from_input[g] = codes + row * own.kept_stride + quad;
      } else {
        from_input[g] = static_cast<const std::byte*>(params.input) +
                        (first_row + row) * params.input_stride * static_cast<int64_t>(sizeof(INPUT)) + quad;
      }
    }
    const auto load_input = [&](int32_t first_piece) {
#pragma unroll
      for (int g = 0; g < GROUPS; ++g) {
        const bool has_row = first_row + g * group_rows + lane / 4 < end_row;
#pragma unroll
        for (int p = 0; p < step_pieces; ++p) {
          const bool has = has_row && first_piece + p < pieces;
          step.input[g][p] =
              has ? *reinterpret_cast<const uint4*>(from_input[g] + (first_piece + p) * piece_bytes) : uint4{};
        }
      }
    };

    for (block = static_cast<int32_t>(blockIdx.x); block < blocks; block += static_cast<int32_t>(gridDim.x)) {
      const FragmentPlace place = operands_place(block, first_row, end_row);
      const bool first_block = first_row == 0 && block == static_cast<int32_t>(blockIdx.x);
      if (!first_block) load_weights(block, warp * step_pieces);
      if constexpr (!quantizes) load_input(warp * step_pieces);
      if (warp < UNITS) {
        if (!first_block) load_factors(operands, finish, place);
        load_residual(operands, finish, place);
      }
      LinearSum sums[UNITS][GROUPS * 4] = {};
      for (int32_t piece = warp * step_pieces; piece < pieces;) {
        if constexpr (quantizes) load_input(piece);  // they are near
        multiply_step(sums, step);
        piece += warps * step_pieces;
        if (piece >= pieces) break;
        load_weights(block, piece);
        if constexpr (!quantizes) load_input(piece);
      }
#pragma unroll
      for (int unit = 0; unit < UNITS; ++unit) {
#pragma unroll
        for (int g = 0; g < GROUPS; ++g) {
#pragma unroll
          for (int i = 0; i < 4; ++i) parts[warp][unit][g][lane][i] = sums[unit][g * 4 + i];
        }
      }
      __syncthreads();
      if (warp < UNITS) {
        LinearSum total[GROUPS * 4] = {};
#pragma unroll
        for (int w = 0; w < warps; ++w) {
#pragma unroll
          for (int i = 0; i < GROUPS * 4; ++i) total[i] += parts[w][warp][i / 4][lane][i % 4];
        }
        const RowScales scales = quantizes ? RowScales{own_scales, first_row} : RowScales{params.input_scales, 0};
        finish_swapped_fragment<GROUPS>(finish, total, operands, place, scales);
      }
      if (block == blocks - 1) store_pads(finish, first_row, end_row);
      __syncthreads();  // before the next sums, or codes
    }
    first_row = end_row;
  }
}
