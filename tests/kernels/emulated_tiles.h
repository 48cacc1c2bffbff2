// The tile instructions in software, so that the logic of tiled kernels is tested where there are no tiles.
#pragma once

#include <cstring>

#include "base/dtype.h"
#include "base/error.h"
#include "kernels/cpu/amx_tiles.h"

namespace incipit {

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
  static void load_streamed(const void* base, int64_t stride_bytes) {
    load<tile>(base, stride_bytes);
  }
  template <int tile>
  static void store(void* base, int64_t stride_bytes) {
    INCIPIT_ASSERT(config_.rows[tile] > 0);
    for (int row = 0; row < config_.rows[tile]; ++row) {
      std::memcpy(static_cast<std::byte*>(base) + row * stride_bytes, tiles_[tile][row], config_.bytes_per_row[tile]);
    }
  }
  static void space() {}
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

}  // namespace incipit
