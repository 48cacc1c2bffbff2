// Linear (kernels/families.h) of bf16 rows with weights in codes of four bits, for few rows, which is a matter of reading
// the weights once. They are the first operand of mma.sync, and eight rows of activations the other.
//
// A block has some units of UNITS · 16 packed rows, one behind the other, whose k its warps share in turn, 64 bytes of
// codes a piece. Codes come through a ring of STAGES pieces in shared memory, of each warp its own, across units. They are
// constants: the first ones come before the launch's predecessor is done. The rows of activations lie beside the rings.
// A group's sum is scaled as it ends; the warps' sums are added in order.
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/four_bits.cuh"
#include "kernels/cuda/linear_gemv_params.h"
#include "kernels/cuda/mma.cuh"

using namespace incipit;

namespace {

constexpr int warps = 8, threads = warps * warp_size;
constexpr int fragment_rows = 16, unit_rows = UNITS * fragment_rows;  // packed
constexpr int group_rows = 8;                                        // of activations
constexpr int piece_bytes = 64, piece_inputs = 2 * piece_bytes, piece_blocks = piece_inputs / block_inputs;
constexpr int stage_bytes = unit_rows * piece_bytes;  // of a warp
constexpr int piece_groups = piece_inputs / GROUP;
constexpr int row_chunk = 8;                     // elements that a thread copies at once
constexpr int blocks_at_once = GROUPS > 1 ? 1 : 2;  // of a multiprocessor, by their registers

/// Where a row's block of 32 bytes lies in a piece, so that four rows of it lie in different banks.
inline int place_of(int row, int block) { return row * piece_bytes + (block ^ row / 2 % 2) * block_bytes; }

/// A warp's share of what the block reads, in its order: pieces of a unit's rows, then those of the next unit's.
struct Place {
  int32_t unit, piece;

  void next(int32_t pieces) {
    piece += warps;
    if (piece >= pieces) piece = static_cast<int32_t>(threadIdx.x) / warp_size, ++unit;
  }
};

class CodeRing {
 public:
  CodeRing(const LinearParams& params, std::byte* shared, const Place& first, int32_t end_unit, int32_t pieces)
      : params_(params),
        own_(shared + static_cast<int32_t>(threadIdx.x) / warp_size * (STAGES * stage_bytes)),
        next_(first),
        end_unit_(first.piece < pieces ? end_unit : 0),
        pieces_(pieces) {
#pragma unroll 1
    for (int stage = 0; stage < STAGES - 1; ++stage) copy(stage);
  }
  /// Waits for the next piece; what was read of the one before is no longer needed.
  const std::byte* next() {
    wait_for_copy_groups<STAGES - 2>();
    __syncwarp();
    const std::byte* const here = own_ + here_ * stage_bytes;
    copy(here_ == 0 ? STAGES - 1 : here_ - 1);
    here_ = here_ + 1 == STAGES ? 0 : here_ + 1;
    return here;
  }

 private:
  void copy(int to) {
    if (next_.unit < end_unit_) {
      const int32_t lane = lane_of_warp(), chunk = lane % 4;
      const auto* const weight = static_cast<const std::byte*>(params_.weight) + next_.piece * piece_bytes + chunk * 16;
#pragma unroll
      for (int i = 0; i < UNITS * 2; ++i) {
        const int row = i * 8 + lane / 4;
        // Rows beyond the last are the last one again: their sums are dropped.
        const int32_t packed = min(next_.unit * unit_rows + row, params_.finish.packed_rows - 1);
        copy_16(shared_address(own_ + to * stage_bytes + place_of(row, chunk / 2) + chunk % 2 * 16),
                weight + packed * (params_.weight_stride / 2));
      }
      next_.next(pieces_);
    }
    end_copy_group();
  }

  const LinearParams& params_;
  std::byte* own_;
  Place next_;
  int32_t end_unit_, pieces_;
  int here_ = 0;
};

/// What a lane's sums of a piece's groups are multiplied with, and what they have too much.
struct PieceFactors {
  bf16 scales[UNITS][piece_groups][2];
  uint32_t zero_points[UNITS][piece_groups][2];

  void load(const LinearGroupsParams& params, const Place& place) {
#pragma unroll
    for (int u = 0; u < UNITS; ++u) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int32_t packed = min(place.unit * unit_rows + u * fragment_rows + h * 8 + lane_of_warp() / 4,
                                   params.linear.finish.packed_rows - 1);
#pragma unroll
        for (int i = 0; i < piece_groups; ++i) {
          const int32_t group = min(place.piece * piece_groups + i, params.groups.count - 1);
          scales[u][i][h] = scale_of(params.groups, packed, group);
          zero_points[u][i][h] = zero_point_of(params.groups, packed, group);
        }
      }
    }
  }
};

/// A warp's sums of a unit, over its pieces.
struct UnitSums {
  float totals[UNITS][GROUPS * 4] = {}, sums[UNITS][GROUPS * 4] = {};

  template <int step>
  void multiply(int unit, const uint2& low, const uint2& high, const uint32_t (&zeros)[4],
                const uint32_t (&input)[GROUPS][4]) {
    uint32_t codes[4];
    widen<step>(codes, low, high);
#pragma unroll
    for (int g = 0; g < GROUPS; ++g) {
      const uint32_t second[2]{input[g][step % 2 * 2], input[g][step % 2 * 2 + 1]};
      multiply_add(sums[unit] + g * 4, codes, second);
      multiply_add(sums[unit] + g * 4, zeros, second);
    }
  }
  void finish_group(int unit, const bf16 (&scales)[2]) {
    const float factors[2]{to_float(scales[0]), to_float(scales[1])};
#pragma unroll
    for (int i = 0; i < GROUPS * 4; ++i) {
      totals[unit][i] = __fmaf_rn(factors[i % 4 / 2], sums[unit][i], totals[unit][i]);
      sums[unit][i] = 0;
    }
  }
};

}  // namespace

extern "C" __global__ void __launch_bounds__(threads, blocks_at_once)
    linear_gemv_four_bits(const __grid_constant__ LinearFourBitsGemvParams own) {
  extern __shared__ __align__(16) std::byte shared[];  // the warps' rings, 16 bytes of zeros, rows of activations
  __shared__ float parts[2][warps][UNITS][GROUPS][warp_size][4];
  const LinearParams& params = own.weight.linear;
  const LinearFinish& finish = params.finish;
  const auto thread = static_cast<int32_t>(threadIdx.x);
  const int32_t warp = thread / warp_size, lane = lane_of_warp();
  let_attention_start(finish.pages.step_sequences());

  // No launch of a step changes its counts.
  const int32_t rows = rows_of(params.counts);
  if (rows == 0) return wait_for_predecessors();

  const int32_t pieces = (params.k + piece_inputs - 1) / piece_inputs;
  const int32_t units = (finish.packed_rows + unit_rows - 1) / unit_rows;
  const auto block = static_cast<int64_t>(blockIdx.x), blocks = static_cast<int64_t>(gridDim.x);
  const auto first_unit = static_cast<int32_t>(block * units / blocks);
  const auto end_unit = static_cast<int32_t>((block + 1) * units / blocks);
  std::byte* const zeros_at = shared + warps * STAGES * stage_bytes;
  auto* const kept = reinterpret_cast<bf16*>(zeros_at + 16);
  if (thread < 4) reinterpret_cast<uint32_t*>(zeros_at)[thread] = 0;

#pragma unroll 1
  for (int32_t first_row = 0; first_row < rows; first_row += own.kept_rows) {
    const int32_t end_row = min(rows, first_row + own.kept_rows);
    CodeRing ring(params, shared, Place{first_unit, warp}, end_unit, pieces);
    Place place{first_unit, warp};
    PieceFactors next_factors;
    if (warp < pieces) next_factors.load(own.weight, place);
    if (first_row == 0) wait_for_predecessors();

    // Rows are padded with zeros to 64 elements, and here to whole pieces.
    const int32_t chunks = pieces * (piece_inputs / row_chunk);
#pragma unroll 4
    for (int32_t i = thread; i < (end_row - first_row) * chunks; i += threads) {
      const int32_t row = i / chunks, column = i % chunks * row_chunk;
      const auto* const from = static_cast<const bf16*>(params.input) + (first_row + row) * params.input_stride;
      *reinterpret_cast<uint4*>(kept + row * own.kept_stride + column) =
          column < params.k ? *reinterpret_cast<const uint4*>(from + column) : uint4{};
    }
    __syncthreads();
    // Of the matrices that make a step's second operand a lane names a row; rows that are not there are zeros.
    uint32_t input_at[GROUPS];
    bool has_row[GROUPS];
#pragma unroll
    for (int g = 0; g < GROUPS; ++g) {
      const int32_t row = g * group_rows + lane % 8;
      has_row[g] = first_row + row < end_row;
      input_at[g] =
          has_row[g] ? shared_address(kept + row * own.kept_stride + lane / 8 * row_chunk) : shared_address(zeros_at);
    }

#pragma unroll 1
    for (int32_t unit = first_unit; unit < end_unit; ++unit) {
      // Each time other warps finish what all have added up.
      const int32_t mine = (warp + warps - unit * UNITS % warps) % warps;
      const FragmentPlace fragment{first_row, unit * unit_rows + mine * fragment_rows, end_row};
      SwappedOperands<GROUPS> operands;
      if (mine < UNITS) {
        load_factors(operands, finish, fragment);
        load_residual(operands, finish, fragment);
      }
      UnitSums sums;
#pragma unroll 1
      for (int32_t piece = warp; piece < pieces; piece += warps) {
        const PieceFactors factors = next_factors;
        place.next(pieces);
        next_factors.load(own.weight, place);
        const std::byte* const codes = ring.next();
#pragma unroll
        for (int b = 0; b < piece_blocks; ++b) {
          uint32_t input[2][GROUPS][4];  // of two steps each
#pragma unroll
          for (int half = 0; half < 2; ++half) {
#pragma unroll
            for (int g = 0; g < GROUPS; ++g) {
              const int32_t column = piece * piece_inputs + b * block_inputs + half * (block_inputs / 2);
              load_matrices(input[half][g], input_at[g] + (has_row[g] ? column * 2 : 0));
            }
          }
#pragma unroll
          for (int u = 0; u < UNITS; ++u) {
            const int row = u * fragment_rows + lane / 4, quad = lane % 4 * lane_bytes;
            const uint2 low = *reinterpret_cast<const uint2*>(codes + place_of(row, b) + quad);
            const uint2 high = *reinterpret_cast<const uint2*>(codes + place_of(row + 8, b) + quad);
            const int first = b * block_inputs / GROUP, last = (b * block_inputs + block_inputs - 1) / GROUP;
            uint32_t zeros[4];
            zeros[0] = zeros[2] = negative_zero(factors.zero_points[u][first][0]);
            zeros[1] = zeros[3] = negative_zero(factors.zero_points[u][first][1]);
            sums.multiply<0>(u, low, high, zeros, input[0]);
            sums.multiply<1>(u, low, high, zeros, input[0]);
            if (first != last) {
              sums.finish_group(u, factors.scales[u][first]);
              zeros[0] = zeros[2] = negative_zero(factors.zero_points[u][last][0]);
              zeros[1] = zeros[3] = negative_zero(factors.zero_points[u][last][1]);
            }
            sums.multiply<2>(u, low, high, zeros, input[1]);
            sums.multiply<3>(u, low, high, zeros, input[1]);
            if (GROUP <= block_inputs || b + 1 == piece_blocks) sums.finish_group(u, factors.scales[u][last]);
          }
        }
      }
      auto& all = parts[unit % 2];
#pragma unroll
      for (int u = 0; u < UNITS; ++u) {
#pragma unroll
        for (int g = 0; g < GROUPS; ++g) {
          const float* const four = sums.totals[u] + g * 4;
          *reinterpret_cast<float4*>(all[warp][u][g][lane]) = float4{four[0], four[1], four[2], four[3]};
        }
      }
      __syncthreads();
      if (mine < UNITS) {
        float total[GROUPS * 4] = {};
#pragma unroll
        for (int w = 0; w < warps; ++w) {
#pragma unroll
          for (int i = 0; i < GROUPS * 4; ++i) total[i] += all[w][mine][i / 4][lane][i % 4];
        }
#pragma unroll
        for (int i = 0; i < GROUPS * 4; ++i) total[i] *= code_units;
        finish_swapped_fragment<GROUPS>(finish, total, operands, fragment, RowScales{});
      }
    }
    if (block == blocks - 1) store_pads(finish, first_row, end_row);
    __syncthreads();  // before the next rows
  }
}
