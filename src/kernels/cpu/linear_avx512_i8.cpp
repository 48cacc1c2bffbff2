// int8 products with VPDPBUSD.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_tiles.h"

INCIPIT_BEGIN_TARGET(INCIPIT_AVX512_VNNI)
namespace incipit {
namespace {

#include "kernels/cpu/linear_avx512.inc"

/// VPDPBUSD takes its first factor unsigned: activations come as code + 128, and each sum starts at −128·Σ codes of its
/// output, so that it ends exact.
struct UnitI8 : WholeRow {
  using Input = uint8_t;
  using Sum = int32_t;
  using Register = __m512i;
  static __m512i start(const PackedWeight& weight, int64_t panel) {
    return reinterpret_cast<__m512i>(-128 * load<Ints>(weight.code_sums + panel * panel_width));
  }
  static __m512i multiply_add(__m512i sum, __m512i x, __m512i w) { return _mm512_dpbusd_epi32(sum, x, w); }
};

void run_i8(const Linear::Problem& problem, const Linear::Args& args, const KernelConfig& config, int64_t tile,
            std::byte* scratch) {
  const LinearTile share = linear_tile(problem, args, config, tile);
  const int64_t padded_k = round_up(problem.k, 64);
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
  for (int64_t r = 0; r < share.rows; ++r) {
    const std::byte* from = args.input + (share.first_row + r) * args.input_stride;
    std::byte* to = scratch + r * padded_k;
    for (int64_t k = 0; k < padded_k; k += 64) {
      _mm512_store_si512(to + k, _mm512_xor_si512(_mm512_loadu_si512(from + k), flip));
    }
  }
  run_blocks<Micro<UnitI8>>(problem, args, share, {reinterpret_cast<const uint8_t*>(scratch), padded_k});
}

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

namespace incipit {

namespace {

/// Room for the tile's activations as unsigned bytes.
size_t i8_scratch(const Linear::Problem& problem, const KernelConfig& config, int32_t rows) {
  return static_cast<size_t>(std::min(rows, config.values[0]) * round_up(problem.k, 64));
}

}  // namespace

Kernel<Linear> linear_avx512_i8() {
  return {"linear/avx512_i8",
          2,
          avx512.with(CpuFeature::avx512_vnni),
          accepts_linear<WeightFormat::i8>,
          configs,
          i8_scratch,
          linear_tiles,
          run_i8};
}

}  // namespace incipit

#endif
