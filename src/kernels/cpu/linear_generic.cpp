// Products in portable C++, for any processor: the vector extension becomes SSE2, NEON or plain loops.
#include <bit>
#include <cstring>
#include <type_traits>

#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_tiles.h"

namespace incipit {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr int lanes = 4;
constexpr int vectors = panel_width / lanes;

#include "kernels/cpu/vector_math.inc"

[[gnu::always_inline]] inline Halves round_to_bf16(Floats v) { return to_bf16_lanes(v); }
[[gnu::always_inline]] inline Floats silu(Floats v) { return activate_lanes(Activation::silu, v); }
[[gnu::always_inline]] inline Floats silu_of_bf16(Floats v) { return silu(v); }

#include "kernels/cpu/linear_finish.inc"

#include "kernels/cpu/quantize_rows.inc"

#include "kernels/cpu/linear_blocks.inc"

#include "kernels/cpu/linear_groups.inc"

[[gnu::always_inline]] inline Floats load_floats(const float* from) { return load<Floats>(from); }
[[gnu::always_inline]] inline Floats load_floats(const f16* from) { return from_f16_lanes(load<Halves>(from)); }

/// f32 rows with weights that widen to f32.
template <typename Weight>
struct MicroFloat {
  using Input = float;
  using Sum = float;
  static constexpr int block_rows = 2;
  static constexpr int block_panels(int) { return 1; }

  template <int R, int P>
  static void block(const InputRows<float>& input, const PackedWeight& weight, int64_t panel, int64_t padded_k,
                    const Ahead&, float* sums) {
    const auto* w = reinterpret_cast<const Weight*>(weight.codes) + panel * padded_k * panel_width;
    Floats sum[R][vectors] = {};
    for (int64_t k = 0; k < padded_k; ++k, w += panel_width) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) {
        const Floats column = load_floats(w + v * lanes);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) sum[r][v] += column * input.data[r * input.stride + k];
      }
    }
    std::memcpy(sums, sum[0], sizeof sum[0]);
    if constexpr (R > 1) std::memcpy(sums + group_panels * panel_width, sum[1], sizeof sum[1]);
  }
};

struct MicroBf16 {
  using Input = bf16;
  using Sum = float;
  static constexpr int block_rows = 2;
  static constexpr int block_panels(int) { return 1; }

  template <int R, int P>
  static void block(const InputRows<bf16>& input, const PackedWeight& weight, int64_t panel, int64_t padded_k,
                    const Ahead&, float* sums) {
    const auto* w = reinterpret_cast<const uint32_t*>(weight.codes) + panel * padded_k / 2 * panel_width;
    Floats sum[R][vectors] = {};
    for (int64_t k = 0; k < padded_k; k += 2, w += panel_width) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) {
        const Words pair = load<Words>(w + v * lanes);
        const Floats even = as_floats(pair << 16), odd = as_floats(pair & 0xffff0000u);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
          const bf16* a = input.data + r * input.stride + k;
          sum[r][v] += even * to_float(a[0]);
          sum[r][v] += odd * to_float(a[1]);
        }
      }
    }
    std::memcpy(sums, sum[0], sizeof sum[0]);
    if constexpr (R > 1) std::memcpy(sums + group_panels * panel_width, sum[1], sizeof sum[1]);
  }
};

struct MicroI8 {
  using Input = int8_t;
  using Sum = int32_t;
  static constexpr int block_rows = 2;
  static constexpr int block_panels(int) { return 1; }

  /// Adds both 16-bit halves of every lane, sign-extended.
  [[gnu::always_inline]] static Ints halves(Shorts products) {
    const Ints both = reinterpret_cast<Ints>(products);
    return ((both << 16) >> 16) + (both >> 16);
  }

  template <int R, int P>
  static void block(const InputRows<int8_t>& input, const PackedWeight& weight, int64_t panel, int64_t padded_k,
                    const Ahead&, int32_t* sums) {
    const auto* w = reinterpret_cast<const int8_t*>(weight.codes) + panel * padded_k * panel_width;
    Ints sum[R][vectors] = {};
    for (int64_t k = 0; k < padded_k; k += 4, w += 4 * panel_width) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) {
        // A lane holds the codes k … k+3 of one output; products of two codes fit 16 bits.
        const Shorts codes = load<Shorts>(w + v * 4 * lanes);
        const Shorts even = (codes << 8) >> 8, odd = codes >> 8;
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
          const int8_t* a = input.data + r * input.stride + k;
          const auto pair = [](int8_t low, int8_t high) {
            const auto bits = static_cast<uint32_t>(static_cast<uint16_t>(low)) |
                              static_cast<uint32_t>(static_cast<uint16_t>(high)) << 16;
            return reinterpret_cast<Shorts>(bits + Words{});
          };
          sum[r][v] += halves(even * pair(a[0], a[2]));
          sum[r][v] += halves(odd * pair(a[1], a[3]));
        }
      }
    }
    std::memcpy(sums, sum[0], sizeof sum[0]);
    if constexpr (R > 1) std::memcpy(sums + group_panels * panel_width, sum[1], sizeof sum[1]);
  }
};

struct UnitI4 {
  /// A lane's four inputs as numbers of 16 bits.
  struct Inputs {
    Shorts even, odd;
  };
  using Vector = Ints;
  static constexpr int vectors = incipit::vectors;
  static constexpr int32_t largest_run = 128;
  static constexpr int kept_sums = 4;
  static constexpr int block_rows = 2;
  static constexpr int block_panels(int) { return 1; }
  static Words load(const std::byte* from) { return incipit::load<Words>(from); }
  static Words low(Words bytes) { return bytes & 0x0f0f0f0fu; }
  static Words high(Words bytes) { return bytes >> 4 & 0x0f0f0f0fu; }
  static Inputs broadcast(int32_t group) {
    const Shorts codes = reinterpret_cast<Shorts>(group + Ints{});
    return {(codes << 8) >> 8, codes >> 8};
  }
  static Ints multiply_add(Ints sum, Words w, const Inputs& x) {
    const auto codes = reinterpret_cast<Shorts>(w);  // two products of 15 · 127 fit 16 bits
    return sum + MicroI8::halves((codes & int16_t{0xff}) * x.even + (codes >> 8) * x.odd);
  }
  static Ints begin(int32_t offset) { return offset + Ints{}; }
  static Ints total(Ints sum, int32_t) { return sum; }
  static Ints times(Ints z, int32_t sum) { return z * sum; }
};

constexpr KernelConfig configs[] = {{"rows16_panels8", {16, 8}}, {"rows64_panels16", {64, 16}}};

}  // namespace

Kernel<Linear> linear_generic_f32() {
  return reads_panels({"linear/generic_f32",
                       1,
                       {},
                       accepts_linear<WeightFormat::f32>,
                       configs,
                       {no_scratch, linear_tiles, run_linear<MicroFloat<float>>}});
}
Kernel<Linear> linear_generic_bf16() {
  return reads_panels({"linear/generic_bf16",
                       1,
                       {},
                       accepts_linear<WeightFormat::bf16>,
                       configs,
                       {no_scratch, linear_tiles, run_linear<MicroBf16>}});
}
Kernel<Linear> linear_generic_f16() {
  return reads_panels({"linear/generic_f16",
                       1,
                       {},
                       accepts_linear<WeightFormat::f16>,
                       configs,
                       {no_scratch, linear_tiles, run_linear<MicroFloat<f16>>}});
}
Kernel<Linear> linear_generic_i8() {
  return reads_panels({"linear/generic_i8",
                       2,
                       {},
                       accepts_linear<WeightFormat::i8>,
                       configs,
                       {code_scratch, linear_tiles, run_codes<MicroI8, 0>}});
}
Kernel<Linear> linear_generic_i4() {
  return reads_panels({"linear/generic_i4",
                       1,
                       {},
                       accepts_groups,
                       configs,
                       {group_scratch<UnitI4::largest_run>, linear_tiles, run_groups<UnitI4>}});
}

}  // namespace incipit
