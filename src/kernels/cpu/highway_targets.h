// Row-wise kernels written once with Highway and compiled for several instruction sets.
//
// Every compiled target is a kernel of its own, because an engine records which kernel runs and `--target cpu-generic`
// must really run portable code: Highway's dispatch at run time is not used. A kernel file includes this header before
// any of Highway's, defines its `run_…` functions in incipit::HWY_NAMESPACE, and once makes its kernels from
// INCIPIT_HIGHWAY_RUNS(run_…).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "kernels/kernel.h"

// Baseline, AVX2 and AVX-512 on x86; NEON, which is the baseline, on ARM.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#include "hwy/detect_targets.h"

namespace incipit {

#if defined(__x86_64__)
enum class HighwayTarget : uint8_t { baseline, avx2, avx3 };
constexpr size_t highway_targets = 3;
#else
enum class HighwayTarget : uint8_t { baseline };
constexpr size_t highway_targets = 1;
#endif

inline CpuFeatures highway_needs(HighwayTarget target) {
  CpuFeatures needs;
#if defined(__x86_64__)
  if (target != HighwayTarget::baseline) needs = needs.with(CpuFeature::avx2);
  if (target == HighwayTarget::avx3) needs = needs.with(CpuFeature::avx512);
#else
  (void)target;
#endif
  return needs;
}

template <typename Family>
using HighwayRuns = std::array<decltype(ProcessorEntry<Family>::run), highway_targets>;

#if !defined(__x86_64__)
#define INCIPIT_HIGHWAY_RUNS(function) \
  { HWY_STATIC_DISPATCH(function) }
#elif HWY_TARGETS & HWY_EMU128
#define INCIPIT_HIGHWAY_RUNS(function) \
  { N_EMU128::function, N_AVX2::function, N_AVX3::function }
#else
#define INCIPIT_HIGHWAY_RUNS(function) \
  { N_SCALAR::function, N_AVX2::function, N_AVX3::function }
#endif

}  // namespace incipit
