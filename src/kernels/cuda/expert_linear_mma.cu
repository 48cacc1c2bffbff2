// ExpertLinear (kernels/families.h) of bf16 and int8 for many rows an expert: a block multiplies TILE_SLOTS slots that
// chose its expert with 128 packed rows, by mma.sync. Both operands come in steps of 128 bytes of k, some steps ahead.
// A slot's input is copied from where it lies, so that nothing is gathered before.
#include "kernels/cuda/expert_linear.cuh"
#include "kernels/cuda/mma.cuh"

using namespace incipit;

namespace {

constexpr int warps = 8, threads = warps * warp_size;
constexpr int tile_packed = 128;
constexpr int step_bytes = 128, step_chunks = step_bytes / 16;  // of k
constexpr int chunk = 16 / sizeof(INPUT);                       // elements
constexpr int stages = 3;
constexpr int stage_bytes = (TILE_SLOTS + tile_packed) * step_bytes;

// A warp has 32 slots and some of the packed rows.
constexpr int slot_fragments = 2, warp_slots = slot_fragments * 16;
constexpr int warps_along_slots = TILE_SLOTS / warp_slots, warps_along_packed = warps / warps_along_slots;
constexpr int warp_packed = tile_packed / warps_along_packed, groups = warp_packed / 8;

/// A chunk's place in a tile whose rows are step_bytes: shifted from row to row, so that eight rows' chunks lie in
/// different banks.
inline uint32_t place_of(int32_t row, int32_t of_row) {
  return static_cast<uint32_t>(row * step_bytes + ((of_row ^ row) % step_chunks) * 16);
}

/// The chunks of a tile of `rows` rows that this thread copies: chunk threadIdx.x % 8 of some rows.
template <int rows>
struct Copied {
  static constexpr int count = rows * step_chunks / threads;
  static int32_t row(int i) { return static_cast<int32_t>(threadIdx.x) / step_chunks + i * (threads / step_chunks); }
  static int32_t of_row() { return static_cast<int32_t>(threadIdx.x) % step_chunks; }
};
using CopiedInputs = Copied<TILE_SLOTS>;
using CopiedWeights = Copied<tile_packed>;

/// Adds the products of a step that lies at `inputs` and `weights`.
inline void multiply_step(LinearSum (&sums)[slot_fragments][groups * 4], uint32_t inputs, uint32_t weights) {
  const auto warp = static_cast<int32_t>(threadIdx.x) / warp_size;
  const int32_t lane = lane_of_warp();
  const int32_t slot = warp % warps_along_slots * warp_slots + lane % 16;
  const int32_t packed = warp / warps_along_slots * warp_packed + lane / 16 * 8 + lane % 8;
#pragma unroll
  for (int at = 0; at < step_chunks; at += 2) {  // 32 bytes of k
    uint32_t first[slot_fragments][4], second[groups / 2][4];
#pragma unroll
    for (int f = 0; f < slot_fragments; ++f) load_matrices(first[f], inputs + place_of(slot + f * 16, at + lane / 16));
#pragma unroll
    for (int g = 0; g < groups / 2; ++g) {
      load_matrices(second[g], weights + place_of(packed + g * 16, at + lane / 8 % 2));
    }
#pragma unroll
    for (int f = 0; f < slot_fragments; ++f) {
#pragma unroll
      for (int g = 0; g < groups; ++g) multiply_add(sums[f] + g * 4, first[f], second[g / 2] + g % 2 * 2);
    }
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(threads, 2)
    expert_linear_mma(const __grid_constant__ ExpertLinearParams params) {
  extern __shared__ __align__(128) std::byte tiles[];  // stages of inputs, then weights
  __shared__ ChosenSlots<threads, 8192> chosen;
  let_successor_start();
  const int32_t rows = rows_of(params.counts);
  wait_for_predecessors();
  store_expert_pads(params, rows);
  const int32_t expert = expert_of_block(params, rows);
  if (expert < 0) return;
  const LinearFinish finish = expert_finish(params, expert);
  const auto warp = static_cast<int32_t>(threadIdx.x) / warp_size;
  const int32_t first_packed = static_cast<int32_t>(blockIdx.y) * tile_packed;
  const uint32_t shared = shared_address(tiles);
  const int32_t steps = (params.k * static_cast<int32_t>(sizeof(INPUT)) + step_bytes - 1) / step_bytes;

  // Rows beyond the last are the last one again: their sums are dropped.
  const WEIGHT* weights[CopiedWeights::count];
#pragma unroll
  for (int i = 0; i < CopiedWeights::count; ++i) {
    const int32_t packed = min(first_packed + CopiedWeights::row(i), finish.packed_rows - 1);
    weights[i] = expert_weight(params, expert) + packed * params.weight_stride + CopiedWeights::of_row() * chunk;
  }
  const INPUT* inputs[CopiedInputs::count];
  const auto load = [&](int32_t step) {
    if (step < steps) {
      const uint32_t stage = static_cast<uint32_t>(step % stages * stage_bytes);
#pragma unroll
      for (int i = 0; i < CopiedWeights::count; ++i) {
        copy_16(shared + stage + TILE_SLOTS * step_bytes + place_of(CopiedWeights::row(i), CopiedWeights::of_row()),
                weights[i] + step * step_chunks * chunk);
      }
      const int32_t element = (step * step_chunks + CopiedInputs::of_row()) * chunk, left = params.k - element;
#pragma unroll
      for (int i = 0; i < CopiedInputs::count; ++i) {
        const uint32_t to = stage + place_of(CopiedInputs::row(i), CopiedInputs::of_row());
        if (params.vectors && inputs[i] != nullptr && left > 0) {
          copy_16(shared + to, inputs[i] + element);
        } else {
          *reinterpret_cast<uint4*>(tiles + to) =
              inputs[i] != nullptr ? load_elements(inputs[i] + element, left) : uint4{};
        }
      }
    }
    end_copy_group();
  };

  const int32_t step_rows = chosen.rows_at_once(params);
  for (int32_t first_row = 0; first_row < rows; first_row += step_rows) {
    const int32_t count = chosen.find(params, expert, first_row, min(first_row + step_rows, rows));
    for (int32_t first = 0; first < count; first += TILE_SLOTS) {
#pragma unroll
      for (int i = 0; i < CopiedInputs::count; ++i) {
        const int32_t at = first + CopiedInputs::row(i);
        inputs[i] = at < count ? expert_input(params, chosen.at(params, first_row, at)) : nullptr;
      }
      LinearSum sums[slot_fragments][groups * 4] = {};
#pragma unroll
      for (int32_t step = 0; step < stages - 1; ++step) load(step);
      for (int32_t step = 0; step < steps; ++step) {
        wait_for_copy_groups<stages - 2>();
        __syncthreads();  // the step is there, and the one before it is done
        load(step + stages - 1);
        const uint32_t stage = shared + static_cast<uint32_t>(step % stages * stage_bytes);
        multiply_step(sums, stage, stage + TILE_SLOTS * step_bytes);
      }
      __syncthreads();  // before the next tile's copies

#pragma unroll
      for (int f = 0; f < slot_fragments; ++f) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const int32_t at = first + warp % warps_along_slots * warp_slots + f * 16 + h * 8 + lane_of_warp() / 4;
          if (at >= count) continue;
          const SlotFinish of_slot(params, finish, chosen.at(params, first_row, at));
#pragma unroll
          for (int g = 0; g < groups; g += 2) {
#pragma unroll
            for (int i = 0; i < 2; ++i) {
              const int32_t packed =
                  first_packed + warp / warps_along_slots * warp_packed + g * 8 + lane_of_warp() % 4 * 2 + i;
              of_slot.pair(packed, sums[f][g * 4 + h * 2 + i], sums[f][g * 4 + 4 + h * 2 + i]);
            }
          }
        }
      }
    }
  }
}
