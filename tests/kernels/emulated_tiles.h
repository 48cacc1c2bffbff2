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
    dot<bf16, float>(sums, a, b, [](bf16 element) { return to_float(element); });
  }
  template <int sums, int a, int b>
  static void dot_i8() {
    dot<int8_t, int32_t>(sums, a, b, [](int8_t element) { return int32_t{element}; });
  }

 private:
  /// Elements are widened before the products: each takes part in sixteen.
  template <typename Element, typename Sum, typename Widen>
  static void dot(int sums, int a, int b, Widen widen) {
    INCIPIT_ASSERT(sums != a && sums != b && a != b);
    INCIPIT_ASSERT(config_.rows[sums] > 0 && config_.rows[sums] == config_.rows[a]);
    INCIPIT_ASSERT(config_.bytes_per_row[sums] == config_.bytes_per_row[b]);
    INCIPIT_ASSERT(config_.bytes_per_row[a] == 4 * config_.rows[b]);
    constexpr int group = 4 / sizeof(Element);
    const int depth = config_.rows[b] * group, columns = config_.bytes_per_row[b] / 4;
    Sum left[16][16 * group], right[16][16 * group];  // [rows][depth], [columns][depth]
    Element elements[16 * group];
    for (int m = 0; m < config_.rows[a]; ++m) {
      std::memcpy(elements, tiles_[a][m], sizeof elements);
      for (int k = 0; k < depth; ++k) left[m][k] = widen(elements[k]);
    }
    for (int k = 0; k < depth; k += group) {
      std::memcpy(elements, tiles_[b][k / group], sizeof elements);
      for (int i = 0; i < columns * group; ++i) right[i / group][k + i % group] = widen(elements[i]);
    }
    for (int m = 0; m < config_.rows[sums]; ++m) {
      for (int n = 0; n < columns; ++n) {
        Sum sum;
        std::memcpy(&sum, tiles_[sums][m] + 4 * n, 4);
        const Sum *x = left[m], *w = right[n];
        for (const Sum* end = x + depth; x != end;) sum += *x++ * *w++;
        std::memcpy(tiles_[sums][m] + 4 * n, &sum, 4);
      }
    }
  }

  static inline thread_local TileConfig config_{.palette = 0};
  static inline thread_local std::byte tiles_[8][16][64];
};

}  // namespace incipit
