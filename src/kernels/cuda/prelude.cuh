// What all CUDA kernels have in common: element types, conversions, sums over warps, a step's counts, and the order of
// launches. It needs no header of a toolkit. Kernels name element types by defines: -DINPUT=bf16.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/batch.h"
#include "kernels/cuda/launch_counts.h"

namespace incipit {

using f32 = float;
using i8 = int8_t;
using i32 = int32_t;
struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

constexpr int warp_size = 32;
constexpr unsigned all_lanes = 0xffffffffU;

// ---- numbers. Conversions round to the nearest, ties to even, as base/dtype.h does.
inline float to_float(float x) { return x; }
inline float to_float(bf16 x) { return __uint_as_float(static_cast<uint32_t>(x.bits) << 16); }
inline float to_float(f16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
inline float to_float(int8_t x) { return static_cast<float>(x); }

template <typename T>
T from_float(float x);
template <>
inline float from_float<float>(float x) {
  return x;
}
template <>
inline bf16 from_float<bf16>(float x) {
  bf16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}
template <>
inline f16 from_float<f16>(float x) {
  f16 y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}
/// Two neighbours in memory, the lower address first.
inline uint32_t pack_bf16(float first, float second) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
}

/// An address in shared memory, as instructions take it.
inline uint32_t shared_address(const void* at) { return static_cast<uint32_t>(__cvta_generic_to_shared(at)); }

// ---- sums over a warp, the same bits in every lane: the order of additions is fixed
inline float warp_sum(float x) {
  for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(all_lanes, x, distance);
  return x;
}
inline float warp_max(float x) {
  for (int distance = 16; distance > 0; distance /= 2) x = fmaxf(x, __shfl_xor_sync(all_lanes, x, distance));
  return x;
}

// ---- the order of launches
/// Waits until all that was launched before is done and can be seen. A kernel that is launched early
/// (CudaLaunch::early) calls it in every thread before it reads or writes what other launches do.
inline void wait_for_predecessors() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/// From here on the next launch may be started, as far as there is room for it.
inline void let_successor_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
/// The same of a launch before attention, which writes keys and values: of many sequences attention takes longer where
/// its blocks come while other launches' are there (docs/benchmarks.md), and starts when these have ended. With few
/// sequences, and in prompts, it gains by an early start.
inline void let_attention_start(int32_t sequences) {
  constexpr int32_t few = 8;
  if (sequences <= few) let_successor_start();
}

// ---- a step's counts
inline int32_t rows_of(const LaunchCounts& launch) {
  return launch.counts == nullptr ? launch.rows : launch.counts->on(launch.axis);
}
/// Whether there is such a row; waits for predecessors and lets the successor start in any case. Counts are no launch's
/// result: they are fetched before.
inline bool starts_row(const LaunchCounts& launch, int32_t row) {
  const bool is_there = row < rows_of(launch);
  let_successor_start();
  wait_for_predecessors();
  return is_there;
}

}  // namespace incipit
