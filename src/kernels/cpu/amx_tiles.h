// The tile registers of AMX: their configuration, and the instructions that kernels use, behind an interface that
// the tests also implement in software. Source: Intel's Instruction Set Extensions reference, "Intel AMX".
#pragma once

#include <cstddef>
#include <cstdint>

namespace incipit {

/// What ldtilecfg reads. A tile has up to 16 rows of up to 64 bytes.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t bytes_per_row[16] = {};
  uint8_t rows[16] = {};

  void set(int tile, int tile_rows, int row_bytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    bytes_per_row[tile] = static_cast<uint16_t>(row_bytes);
  }
  bool operator==(const TileConfig&) const = default;
};
static_assert(sizeof(TileConfig) == 64);

#if defined(__x86_64__)

/// The instructions. Written as assembly because g++ 12 miscompiles the configuring intrinsic and gives the others no
/// memory barrier; tile numbers are constants.
struct HardwareTiles {
  /// Of this thread, for the work between configure() and release(): nothing is taken from what ran before, and
  /// nothing is left for the system to save when it switches threads. The system's permission is asked for in
  /// cpu_features().
  static void configure(const TileConfig& config) { asm volatile("ldtilecfg %0" ::"m"(config)); }
  static void release() { asm volatile("tilerelease"); }
  template <int tile>
  static void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(tile));
  }
  template <int tile>
  static void load(const void* base, int64_t stride_bytes) {
    asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(tile), "r"(base), "r"(stride_bytes) : "memory");
  }
  /// For what is not read again soon: it takes no place in the first-level cache.
  template <int tile>
  static void load_streamed(const void* base, int64_t stride_bytes) {
    asm volatile("tileloaddt1 (%1,%2,1), %%tmm%c0" ::"i"(tile), "r"(base), "r"(stride_bytes) : "memory");
  }
  template <int tile>
  static void store(void* base, int64_t stride_bytes) {
    asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(tile), "r"(base), "r"(stride_bytes) : "memory");
  }
  /// Between a product and the next load. Where another thread runs on the same core, products and loads that follow
  /// one another at once take twice their time; a few instructions in between take a fifth off that, and cost next to
  /// nothing on a core of one's own (measured on an Intel Xeon of the fifth generation).
  static void space() { asm volatile("nop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop"); }
  /// sums[m][n] += a[m][2k]·b[k][2n] + a[m][2k+1]·b[k][2n+1], bf16 into f32.
  template <int sums, int a, int b>
  static void dot_bf16() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sums), "i"(a), "i"(b));
  }
  /// The same over groups of four signed bytes, into i32.
  template <int sums, int a, int b>
  static void dot_i8() {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sums), "i"(a), "i"(b));
  }
};

#endif

}  // namespace incipit
