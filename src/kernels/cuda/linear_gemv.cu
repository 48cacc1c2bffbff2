// Linear (kernels/families.h) of bf16 and int8 for few rows, which is a matter of reading the weights once. They are
// the first operand of mma.sync, and eight rows of activations the other.
//
// A block has UNITS units of 16 packed rows, whose k its warps share in turn, 128 bytes a step. Any order of k will do
// for a product, so a lane takes 16 bytes in a row, which are two products' words. The warps' sums are added in order.
//
// Weights come through a ring of STAGES stages in shared memory, where each thread has a place of its own and waits for
// nobody: many of them are under way at once, and no registers are held for them. They are constants: the first ones
// come before the launch's predecessor is done.
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
constexpr int step_pieces = 2;
constexpr int stage_pieces = step_pieces / UNITS;
constexpr int stage_bytes = stage_pieces * UNITS * 2 * threads * 16;
constexpr bool quantizes = linear_codes && sizeof(INPUT) != 1;
/// Whose rows of activations are fetched before they are needed: these come from the second level, which takes longer
/// than to multiply them.
constexpr int stages_ahead = GROUPS == 1 ? 4 : 3;
constexpr int blocks_at_once = GROUPS * UNITS > 2 ? 1 : 2;  // of a multiprocessor, by their registers

/// What a warp multiplies: its steps' pieces, one after the other.
struct WarpPieces {
  int32_t pieces, count;  // of a row; of this warp, those beyond the row among them

  explicit WarpPieces(int32_t k) {
    const int32_t row_bytes = k * static_cast<int32_t>(sizeof(WEIGHT));
    const auto warp = static_cast<int32_t>(threadIdx.x) / warp_size;
    pieces = (row_bytes + piece_bytes - 1) / piece_bytes;
    const int32_t steps = (pieces + step_pieces - 1) / step_pieces;
    count = (steps - warp + warps - 1) / warps * step_pieces;
  }
  int32_t piece(int32_t number) const {
    const auto warp = static_cast<int32_t>(threadIdx.x) / warp_size;
    return (number / step_pieces * warps + warp) * step_pieces + number % step_pieces;
  }
};

/// Packed rows lane / 4 and lane / 4 + 8 of each unit, stage by stage through the ring.
class WeightRing {
 public:
  /// All of this block's packed rows are passed over `passes` times.
  WeightRing(const LinearParams& params, const WarpPieces& pieces, int32_t passes, std::byte* shared)
      : params_(params), pieces_(pieces), own_(shared + threadIdx.x * 16), passes_(passes) {
    start_block(static_cast<int32_t>(blockIdx.x));
    for (int stage = 0; stage < STAGES - 1; ++stage) {
      copy_stage(stage);
      end_copy_group();
    }
  }
  /// The next stage's weights. The place of the one before is filled again.
  void next(uint4 (&weights)[stage_pieces][UNITS][2]) {
    wait_for_copy_groups<STAGES - 2>();
#pragma unroll
    for (int p = 0; p < stage_pieces; ++p) {
#pragma unroll
      for (int unit = 0; unit < UNITS; ++unit) {
#pragma unroll
        for (int h = 0; h < 2; ++h)
          weights[p][unit][h] = *reinterpret_cast<const uint4*>(own_ + place(here_, p, unit, h));
      }
    }
    copy_stage(here_ == 0 ? STAGES - 1 : here_ - 1);
    end_copy_group();
    here_ = here_ + 1 == STAGES ? 0 : here_ + 1;
  }

 private:
  static int place(int stage, int p, int unit, int h) {
    return stage * stage_bytes + ((p * UNITS + unit) * 2 + h) * (threads * 16);
  }
  void start_block(int32_t block) {
    block_ = block;
    number_ = 0;
    const int64_t stride = params_.weight_stride * static_cast<int64_t>(sizeof(WEIGHT));
    const int32_t lane = lane_of_warp();
#pragma unroll
    for (int i = 0; i < UNITS * 2; ++i) {
      // Rows beyond the last are the last one again: their sums are dropped.
      const int32_t packed = min(block * UNITS * unit_rows + i * 8 + lane / 4, params_.finish.packed_rows - 1);
      rows_[i] = static_cast<const std::byte*>(params_.weight) + packed * stride + lane % 4 * 16;
    }
  }
  /// Starts the copy of the stage that is copied next, if there is one, to a place in the ring.
  void copy_stage(int to) {
    if (number_ == pieces_.count) {
      const auto blocks =
          static_cast<int32_t>((params_.finish.packed_rows + UNITS * unit_rows - 1) / (UNITS * unit_rows));
      if (pieces_.count == 0 || passes_ == 0) return;
      const int32_t next = block_ + static_cast<int32_t>(gridDim.x);
      if (next >= blocks && --passes_ == 0) return;
      start_block(next < blocks ? next : static_cast<int32_t>(blockIdx.x));
    }
#pragma unroll
    for (int p = 0; p < stage_pieces; ++p) {
      const int32_t piece = pieces_.piece(number_ + p);
#pragma unroll
      for (int i = 0; i < UNITS * 2; ++i) {
        copy_16_or_zeros(shared_address(own_ + place(to, p, i / 2, i % 2)), rows_[i] + piece * piece_bytes,
                         piece < pieces_.pieces ? 16 : 0);
      }
    }
    number_ += stage_pieces;
  }

  const LinearParams& params_;
  const WarpPieces& pieces_;
  std::byte* own_;
  int here_ = 0;  // in the ring
  // What is copied next.
  int32_t passes_, block_, number_;
  const std::byte* rows_[UNITS * 2];
};

/// sums += 16 packed rows · rows of activations, over one piece of k.
inline void multiply_piece(LinearSum (&sums)[GROUPS * 4], const uint4 (&weight)[2], const uint4 (&input)[GROUPS]) {
  const uint4 &low = weight[0], &high = weight[1];
  const uint32_t first[4]{low.x, high.x, low.y, high.y}, second[4]{low.z, high.z, low.w, high.w};
#pragma unroll
  for (int g = 0; g < GROUPS; ++g) {
    const uint32_t first_input[2]{input[g].x, input[g].y}, second_input[2]{input[g].z, input[g].w};
    multiply_add(sums + g * 4, first, first_input);
    multiply_add(sums + g * 4, second, second_input);
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
  extern __shared__ __align__(16) std::byte shared[];  // the ring, and codes when the kernel makes them
  __shared__ LinearSum parts[warps][UNITS][GROUPS][warp_size][4];
  __shared__ float own_scales[GROUPS * group_rows];
  const LinearParams& params = own.linear;
  const LinearFinish& finish = params.finish;
  const auto warp = static_cast<int32_t>(threadIdx.x) / warp_size;
  const int32_t lane = lane_of_warp(), quad = lane % 4 * 16;
  const int32_t blocks = (finish.packed_rows + UNITS * unit_rows - 1) / (UNITS * unit_rows);
  const auto first_block = static_cast<int32_t>(blockIdx.x);
  let_attention_start(finish.pages.step_sequences());

  // No launch of a step changes its counts.
  const int32_t rows = rows_of(params.counts), pass_rows = quantizes ? own.kept_rows : GROUPS * group_rows;
  if (rows == 0) return wait_for_predecessors();

  const WarpPieces pieces(params.k);
  WeightRing ring(params, pieces, (rows + pass_rows - 1) / pass_rows, shared);
  const auto operands_place = [&](int32_t block, int32_t row, int32_t rows) {
    return FragmentPlace{row, (block * UNITS + warp) * unit_rows, rows};
  };
  SwappedOperands<GROUPS> operands;
  if (warp < UNITS) load_factors(operands, finish, operands_place(first_block, 0, 0));
  wait_for_predecessors();

  for (int32_t first_row = 0; first_row < rows; first_row += pass_rows) {
    const int32_t end_row = min(rows, first_row + pass_rows);
    // Where this lane's row of each group begins; rows that are not there are zeros.
    const std::byte* from_input[GROUPS];
    std::byte* const codes = shared + STAGES * stage_bytes;
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
    const auto load_input = [&](int32_t number, uint4(&input)[stage_pieces][GROUPS]) {
#pragma unroll
      for (int g = 0; g < GROUPS; ++g) {
        const bool has_row = first_row + g * group_rows + lane / 4 < end_row;
#pragma unroll
        for (int p = 0; p < stage_pieces; ++p) {
          const int32_t piece = pieces.piece(number + p);
          const bool has = has_row && piece < pieces.pieces;
          input[p][g] = has ? *reinterpret_cast<const uint4*>(from_input[g] + piece * piece_bytes) : uint4{};
        }
      }
    };

    for (int32_t block = first_block; block < blocks; block += static_cast<int32_t>(gridDim.x)) {
      const FragmentPlace place = operands_place(block, first_row, end_row);
      uint4 input[stages_ahead][stage_pieces][GROUPS];
#pragma unroll
      for (int stage = 0; stage < stages_ahead; ++stage) load_input(stage * stage_pieces, input[stage]);
      if (warp < UNITS) {
        if (first_row > 0 || block != first_block) load_factors(operands, finish, place);
        load_residual(operands, finish, place);
      }
      LinearSum sums[UNITS][GROUPS * 4] = {};
      for (int32_t first = 0; first < pieces.count; first += stages_ahead * stage_pieces) {
#pragma unroll
        for (int stage = 0; stage < stages_ahead; ++stage) {
          const int32_t number = first + stage * stage_pieces;
          if (number >= pieces.count) break;
          uint4 weights[stage_pieces][UNITS][2];
          ring.next(weights);
#pragma unroll
          for (int p = 0; p < stage_pieces; ++p) {
#pragma unroll
            for (int unit = 0; unit < UNITS; ++unit) multiply_piece(sums[unit], weights[p][unit], input[stage][p]);
          }
          load_input(number + stages_ahead * stage_pieces, input[stage]);
        }
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
  }
}
