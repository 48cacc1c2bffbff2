#include "measure/ceilings.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "base/cpu.h"
#include "base/progress.h"
#include "kernels/cpu/amx_tiles.h"
#include "kernels/cpu/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace incipit {
namespace {

constexpr int64_t iterations = 500'000;      // of a loop body of some tens of instructions: about a millisecond
constexpr int64_t tile_iterations = 50'000;  // of four products of tiles: the same
constexpr int rounds = 12;

/// A loop over registers. Returns its operations; `sink` keeps the results alive.
using Loop = double (*)(float* sink);

/// Hides a value from the optimiser, so that a loop of equal instructions is not folded.
template <typename T>
void keep(T& value) {
#if defined(__x86_64__)
  asm volatile("" : "+x"(value));
#else
  asm volatile("" : "+w"(value));
#endif
}

// Independent sums: their number covers the latency of every core we know (six cycles, two results in each), and
// together with the operands they fit the registers. They are parameters of a generic lambda, since a compiler may
// leave an array in memory, where storing and loading it is what the loop would measure.
using Sums = std::make_index_sequence<12>;      // of 16 registers
using WideSums = std::make_index_sequence<20>;  // of 32 registers

using Vector4 = float __attribute__((vector_size(16)));

template <size_t... chain>
double baseline_f32(float* sink, std::index_sequence<chain...>) {
  Vector4 a = {1.0F, 0.5F, 0.25F, 0.125F};
  const auto loop = [&](auto... sums) {
    const auto add = [&](Vector4 sum) __attribute__((always_inline)) {
      keep(a);
      sum = sum + a * a;
      keep(sum);
      return sum;
    };
    for (int64_t i = 0; i < iterations; ++i) ((sums = add(sums)), ...);
    ((*sink += sums[0]), ...);
  };
  loop((static_cast<void>(chain), Vector4{})...);
  return 2.0 * 4 * sizeof...(chain) * iterations;
}
double baseline_f32(float* sink) { return baseline_f32(sink, Sums{}); }

/// Reads `lines` cache lines as `streams` sequences at once: some memories want several to give all they can.
using Reader = void (*)(const std::byte* data, int64_t lines);

constexpr int64_t line_bytes = 64;
constexpr int64_t prefetch_bytes = 2048;  // ahead of the loads

template <int streams>
void baseline_read(const std::byte* data, int64_t lines) {
  Vector4 sums[4] = {};
  const int64_t each = lines / streams;
  for (int64_t i = 0; i < each; ++i) {
    for (int64_t s = 0; s < streams; ++s) {
      const std::byte* line = data + (s * each + i) * line_bytes;
      __builtin_prefetch(line + prefetch_bytes);
      const auto* values = reinterpret_cast<const Vector4*>(line);
      for (int64_t j = 0; j < 4; ++j) sums[j] = sums[j] + values[j];
    }
  }
  for (Vector4& sum : sums) keep(sum);
}

}  // namespace
}  // namespace incipit

#if defined(__x86_64__)

// The wide sums are named variables inside asm-free intrinsics; one function an instruction set.

INCIPIT_BEGIN_TARGET(INCIPIT_AVX2)
namespace incipit {
namespace {

template <size_t... chain>
double avx2_f32(float* sink, std::index_sequence<chain...>) {
  const __m256 a = _mm256_set1_ps(0.5F);
  const auto loop = [&](auto... sums) {
    const auto add = [&](__m256 sum) __attribute__((always_inline)) {
      sum = _mm256_fmadd_ps(a, a, sum);
      asm volatile("" : "+x"(sum));
      return sum;
    };
    for (int64_t i = 0; i < iterations; ++i) ((sums = add(sums)), ...);
    ((*sink += _mm256_cvtss_f32(sums)), ...);
  };
  loop((static_cast<void>(chain), _mm256_setzero_ps())...);
  return 2.0 * 8 * sizeof...(chain) * iterations;
}
double avx2_f32(float* sink) { return avx2_f32(sink, Sums{}); }

/// Products of 16-bit words, as the int8 kernels form them.
template <size_t... chain>
double avx2_i8(float* sink, std::index_sequence<chain...>) {
  __m256i a = _mm256_set1_epi16(3);
  const auto loop = [&](auto... sums) {
    const auto add = [&](__m256i sum) __attribute__((always_inline)) {
      asm volatile("" : "+x"(a));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, a));
      asm volatile("" : "+x"(sum));
      return sum;
    };
    for (int64_t i = 0; i < iterations; ++i) ((sums = add(sums)), ...);
    ((*sink += static_cast<float>(_mm_cvtsi128_si32(_mm256_castsi256_si128(sums)))), ...);
  };
  loop((static_cast<void>(chain), _mm256_setzero_si256())...);
  return 2.0 * 16 * sizeof...(chain) * iterations;
}
double avx2_i8(float* sink) { return avx2_i8(sink, Sums{}); }

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

INCIPIT_BEGIN_TARGET(INCIPIT_AVX_VNNI)
namespace incipit {
namespace {

template <size_t... chain>
double avx_vnni_i8(float* sink, std::index_sequence<chain...>) {
  const __m256i a = _mm256_set1_epi8(3);
  const auto loop = [&](auto... sums) {
    const auto add = [&](__m256i sum) __attribute__((always_inline)) {
      sum = _mm256_dpbusd_avx_epi32(sum, a, a);
      asm volatile("" : "+x"(sum));
      return sum;
    };
    for (int64_t i = 0; i < iterations; ++i) ((sums = add(sums)), ...);
    ((*sink += static_cast<float>(_mm_cvtsi128_si32(_mm256_castsi256_si128(sums)))), ...);
  };
  loop((static_cast<void>(chain), _mm256_setzero_si256())...);
  return 2.0 * 32 * sizeof...(chain) * iterations;
}
double avx_vnni_i8(float* sink) { return avx_vnni_i8(sink, Sums{}); }

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

INCIPIT_BEGIN_TARGET(INCIPIT_AVX512)
namespace incipit {
namespace {

template <size_t... chain>
double avx512_f32(float* sink, std::index_sequence<chain...>) {
  const __m512 a = _mm512_set1_ps(0.5F);
  const auto loop = [&](auto... sums) {
    const auto add = [&](__m512 sum) __attribute__((always_inline)) {
      sum = _mm512_fmadd_ps(a, a, sum);
      asm volatile("" : "+v"(sum));
      return sum;
    };
    for (int64_t i = 0; i < iterations; ++i) ((sums = add(sums)), ...);
    ((*sink += _mm512_cvtss_f32(sums)), ...);
  };
  loop((static_cast<void>(chain), _mm512_setzero_ps())...);
  return 2.0 * 16 * sizeof...(chain) * iterations;
}
double avx512_f32(float* sink) { return avx512_f32(sink, WideSums{}); }

template <int streams>
void avx512_read(const std::byte* data, int64_t lines) {
  __m512i sums[streams] = {};
  const int64_t each = lines / streams;
  for (int64_t i = 0; i < each; ++i) {
#pragma GCC unroll 4
    for (int64_t s = 0; s < streams; ++s) {
      const std::byte* line = data + (s * each + i) * line_bytes;
      _mm_prefetch(reinterpret_cast<const char*>(line + prefetch_bytes), _MM_HINT_T0);
      sums[s] = _mm512_xor_si512(sums[s], _mm512_loadu_si512(line));
    }
  }
  for (__m512i& sum : sums) asm volatile("" : "+v"(sum));
}

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

INCIPIT_BEGIN_TARGET(INCIPIT_AVX512_BF16)
namespace incipit {
namespace {

template <size_t... chain>
double avx512_bf16(float* sink, std::index_sequence<chain...>) {
  const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5F), _mm512_set1_ps(0.25F));
  const auto loop = [&](auto... sums) {
    const auto add = [&](__m512 sum) __attribute__((always_inline)) {
      sum = _mm512_dpbf16_ps(sum, a, a);
      asm volatile("" : "+v"(sum));
      return sum;
    };
    for (int64_t i = 0; i < iterations; ++i) ((sums = add(sums)), ...);
    ((*sink += _mm512_cvtss_f32(sums)), ...);
  };
  loop((static_cast<void>(chain), _mm512_setzero_ps())...);
  return 2.0 * 32 * sizeof...(chain) * iterations;
}
double avx512_bf16(float* sink) { return avx512_bf16(sink, WideSums{}); }

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

INCIPIT_BEGIN_TARGET(INCIPIT_AVX512_VNNI)
namespace incipit {
namespace {

template <size_t... chain>
double avx512_i8(float* sink, std::index_sequence<chain...>) {
  const __m512i a = _mm512_set1_epi8(3);
  const auto loop = [&](auto... sums) {
    const auto add = [&](__m512i sum) __attribute__((always_inline)) {
      sum = _mm512_dpbusd_epi32(sum, a, a);
      asm volatile("" : "+v"(sum));
      return sum;
    };
    for (int64_t i = 0; i < iterations; ++i) ((sums = add(sums)), ...);
    ((*sink += static_cast<float>(_mm512_cvtsi512_si32(sums))), ...);
  };
  loop((static_cast<void>(chain), _mm512_setzero_si512())...);
  return 2.0 * 64 * sizeof...(chain) * iterations;
}
double avx512_i8(float* sink) { return avx512_i8(sink, WideSums{}); }

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

namespace incipit {
namespace {

/// Four sums from two tiles each way, as the kernels hold them.
template <bool integers>
double amx(float* sink) {
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) config.set(tile, 16, 64);
  // Numbers of every kind: over zeros the processor runs faster than it can with any real work.
  alignas(64) std::byte memory[1024];
  uint32_t state = 1;
  for (int64_t i = 0; i < 1024; i += 2) {
    state = state * 1664525u + 1013904223u;
    const auto value =
        static_cast<uint16_t>((state >> 16 & 0xbf7f) | 0x3c00);  // as bf16 between 2^-7 and 4, of either sign
    std::memcpy(memory + i, &value, sizeof value);
  }
  HardwareTiles::configure(config);
  HardwareTiles::zero<0>();
  HardwareTiles::zero<1>();
  HardwareTiles::zero<2>();
  HardwareTiles::zero<3>();
  HardwareTiles::load<4>(memory, 64);
  HardwareTiles::load<5>(memory, 64);
  HardwareTiles::load<6>(memory, 64);
  HardwareTiles::load<7>(memory, 64);
  for (int64_t i = 0; i < tile_iterations; ++i) {
    if constexpr (integers) {
      HardwareTiles::dot_i8<0, 4, 6>();
      HardwareTiles::dot_i8<1, 4, 7>();
      HardwareTiles::dot_i8<2, 5, 6>();
      HardwareTiles::dot_i8<3, 5, 7>();
    } else {
      HardwareTiles::dot_bf16<0, 4, 6>();
      HardwareTiles::dot_bf16<1, 4, 7>();
      HardwareTiles::dot_bf16<2, 5, 6>();
      HardwareTiles::dot_bf16<3, 5, 7>();
    }
  }
  HardwareTiles::store<0>(memory, 64);
  HardwareTiles::release();
  *sink += static_cast<float>(static_cast<int>(memory[0]));
  return 2.0 * 16 * 16 * (integers ? 64 : 32) * 4 * tile_iterations;
}

}  // namespace
}  // namespace incipit

#endif

namespace incipit {
namespace {

double seconds_between(std::chrono::steady_clock::time_point a, std::chrono::steady_clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

/// Best rate over the rounds with a loop on every thread at once.
double best_rate(ThreadPool& pool, Loop loop) {
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    check_interrupt();
    const int threads = pool.threads();
    double operations = 0;
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(threads, [&](int64_t tile, int) {
      float sink = 0;
      const double done = loop(&sink);
      keep(sink);
      if (tile == 0) operations = done;
    });
    best = std::max(best, operations * threads / seconds_between(start, std::chrono::steady_clock::now()));
  }
  return best;
}

/// Best rate of reading the memory once, over the rounds and the given readers.
double read_bandwidth(ThreadPool& pool, std::span<const std::byte> memory, std::span<const Reader> readers) {
  const auto lines = static_cast<int64_t>(memory.size() / line_bytes);
  const int64_t tiles = std::max<int64_t>(pool.threads() * int64_t{16}, 1);
  double best = 0;
  for (int round = 0; round < 4; ++round) {
    for (const Reader reader : readers) {
      check_interrupt();
      const auto start = std::chrono::steady_clock::now();
      pool.parallel_for(tiles, [&](int64_t tile, int) {
        const int64_t first = lines * tile / tiles;
        reader(memory.data() + first * line_bytes, lines * (tile + 1) / tiles - first);
      });
      best =
          std::max(best, static_cast<double>(memory.size()) / seconds_between(start, std::chrono::steady_clock::now()));
    }
  }
  return best;
}

}  // namespace

double Ceilings::of(DType operands) const {
  const double rate = operands == DType::i8 ? i8 : operands == DType::bf16 ? bf16 : operands == DType::f16 ? f16 : f32;
  return rate > 0 ? rate : std::max({f32, f16, bf16, i8});
}

HostMemory memory_to_read() {
  HostMemory memory(size_t{512} << 20, "memory to measure");
  std::memset(memory.data(), 1, memory.size());  // what was never written is one page of zeros
  return memory;
}

Ceilings measure_ceilings(ThreadPool& pool, std::span<const std::byte> memory) {
  Ceilings ceilings;
  const auto measure = [&](double& rate, Loop loop) { rate = std::max(rate, best_rate(pool, loop)); };
  std::vector<Reader> readers{baseline_read<1>, baseline_read<4>};
#if defined(__x86_64__)
  const CpuFeatures features = cpu_features();
  if (features.has(CpuFeature::avx2)) {
    measure(ceilings.f32, avx2_f32);
  } else {
    measure(ceilings.f32, baseline_f32);
  }
  if (features.has(CpuFeature::avx512)) {
    measure(ceilings.f32, avx512_f32);
    readers = {avx512_read<1>, avx512_read<4>};
  }
  if (features.has(CpuFeature::avx512_vnni)) {
    measure(ceilings.i8, avx512_i8);
  } else if (features.has(CpuFeature::avx_vnni)) {
    measure(ceilings.i8, avx_vnni_i8);
  } else if (features.has(CpuFeature::avx2)) {
    measure(ceilings.i8, avx2_i8);
  }
  if (features.has(CpuFeature::avx512_bf16)) measure(ceilings.bf16, avx512_bf16);
  if (features.has(CpuFeature::amx_bf16)) measure(ceilings.bf16, amx<false>);
  if (features.has(CpuFeature::amx_int8)) measure(ceilings.i8, amx<true>);
#else
  measure(ceilings.f32, baseline_f32);
#endif
  ceilings.f16 = ceilings.f32;  // which it is converted to
  ceilings.bf16 = std::max(ceilings.bf16, ceilings.f32);
  ceilings.i8 = std::max(ceilings.i8, ceilings.f32);
  ceilings.bandwidth = read_bandwidth(pool, memory, readers);
  return ceilings;
}

}  // namespace incipit
