// The AMX products over tiles in software, so that their logic is tested where there are no tiles.
#include <cstring>

#include "base/error.h"
#include "kernel_checks.h"
#include "kernels/cpu/amx_tiles.h"
#include "kernels/cpu/linear_tiles.h"
#include "linear_case.h"

namespace incipit {
namespace {

constexpr int lanes = 4;

#include "kernels/cpu/vector_math.inc"

#include "kernels/cpu/linear_finish.inc"

#include "kernels/cpu/linear_amx.inc"

/// The instructions as their specification has them; what faults there asserts here.
class EmulatedTiles {
 public:
  static void configure(const TileConfig& config) {
    INCIPIT_ASSERT(config.palette == 1 && config.start_row == 0);
    for (int tile = 0; tile < 16; ++tile) {
      INCIPIT_ASSERT(config.rows[tile] <= 16 && config.bytes_per_row[tile] <= 64);
      INCIPIT_ASSERT((config.rows[tile] == 0) == (config.bytes_per_row[tile] == 0));
      INCIPIT_ASSERT(tile < 8 || config.rows[tile] == 0);
    }
    config_ = config;
    std::memset(tiles_, 0, sizeof tiles_);
  }
  static void release() { config_ = {.palette = 0}; }
  template <int tile>
  static void zero() {
    INCIPIT_ASSERT(config_.rows[tile] > 0);
    std::memset(tiles_[tile], 0, sizeof tiles_[tile]);
  }
  template <int tile>
  static void load(const void* base, int64_t stride_bytes) {
    zero<tile>();
    for (int row = 0; row < config_.rows[tile]; ++row) {
      std::memcpy(tiles_[tile][row], static_cast<const std::byte*>(base) + row * stride_bytes,
                  config_.bytes_per_row[tile]);
    }
  }
  template <int tile>
  static void store(void* base, int64_t stride_bytes) {
    INCIPIT_ASSERT(config_.rows[tile] > 0);
    for (int row = 0; row < config_.rows[tile]; ++row) {
      std::memcpy(static_cast<std::byte*>(base) + row * stride_bytes, tiles_[tile][row], config_.bytes_per_row[tile]);
    }
  }
  template <int sums, int a, int b>
  static void dot_bf16() {
    dot<sums, a, b, float>([](float sum, const std::byte* x, const std::byte* w) {
      bf16 xs[2], ws[2];
      std::memcpy(xs, x, 4);
      std::memcpy(ws, w, 4);
      return sum + to_float(xs[0]) * to_float(ws[0]) + to_float(xs[1]) * to_float(ws[1]);
    });
  }
  template <int sums, int a, int b>
  static void dot_i8() {
    dot<sums, a, b, int32_t>([](int32_t sum, const std::byte* x, const std::byte* w) {
      for (int i = 0; i < 4; ++i) sum += static_cast<int8_t>(x[i]) * static_cast<int8_t>(w[i]);
      return sum;
    });
  }

 private:
  template <int sums, int a, int b, typename Sum, typename Group>
  static void dot(Group group) {
    INCIPIT_ASSERT(sums != a && sums != b && a != b);
    INCIPIT_ASSERT(config_.rows[sums] > 0 && config_.rows[sums] == config_.rows[a]);
    INCIPIT_ASSERT(config_.bytes_per_row[sums] == config_.bytes_per_row[b]);
    INCIPIT_ASSERT(config_.bytes_per_row[a] == 4 * config_.rows[b]);
    for (int m = 0; m < config_.rows[sums]; ++m) {
      for (int n = 0; n < config_.bytes_per_row[sums] / 4; ++n) {
        Sum sum;
        std::memcpy(&sum, tiles_[sums][m] + 4 * n, 4);
        for (int k = 0; k < config_.rows[b]; ++k) sum = group(sum, tiles_[a][m] + 4 * k, tiles_[b][k] + 4 * n);
        std::memcpy(tiles_[sums][m] + 4 * n, &sum, 4);
      }
    }
  }

  static inline thread_local TileConfig config_{.palette = 0};
  static inline thread_local std::byte tiles_[8][16][64];
};

TEST(LinearAmx, MatchesTheReferenceOnEmulatedTiles) {
  const Kernel<Linear> table[] = {
      {"emulated/amx_bf16",
       1,
       {},
       accepts_linear<WeightFormat::bf16>,
       amx_configs,
       amx_scratch,
       linear_tiles,
       run_amx<EmulatedTiles, DotBf16>},
      {"emulated/amx_i8",
       1,
       {},
       accepts_linear<WeightFormat::i8>,
       amx_configs,
       amx_scratch,
       linear_tiles,
       run_amx<EmulatedTiles, DotI8>},
  };
  check_kernels<Linear>(table);
  // Several passes over k: the standard problems fit in one.
  const KernelConfig passes{"rows64_panels4_k128", {64, 4, 128}};
  for (const Kernel<Linear>& kernel : table) {
    const bool codes = kernel.name == "emulated/amx_i8";
    const Linear::Problem problem{150,
                                  300,
                                  codes ? WeightFormat::i8 : WeightFormat::bf16,
                                  codes ? DType::i8 : DType::bf16,
                                  DType::f32,
                                  true,
                                  true,
                                  Activation::silu_gate};
    for (const int32_t rows : {1, 15, 17, 50, 100}) {
      KernelCase<Linear> step(problem, rows, static_cast<uint64_t>(rows));
      step.reset();
      run_kernel<Linear>(kernel, problem, step.args(), passes, rows, TileOrder::shuffled);
      EXPECT_EQ(step.mismatch(), "") << kernel.name << ", rows " << rows;
    }
  }
}

}  // namespace
}  // namespace incipit
