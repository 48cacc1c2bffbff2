// Fragments of mma and wgmma whose elements lanes exchange, so that each has neighbours.
#pragma once

#include "kernels/cuda/prelude.cuh"

namespace incipit {

inline int32_t lane_of_warp() { return static_cast<int32_t>(threadIdx.x % warp_size); }

/// Four words that each lane of a quad has of four groups become the four of one group: of the lane's number.
inline void transpose_quad(uint32_t (&words)[4]) {
  const bool odd = lane_of_warp() & 1, high = lane_of_warp() & 2;
  for (int i = 0; i < 4; i += 2) {
    const uint32_t got = __shfl_xor_sync(all_lanes, odd ? words[i] : words[i + 1], 1);
    words[i] = odd ? got : words[i];
    words[i + 1] = odd ? words[i + 1] : got;
  }
  for (int i = 0; i < 2; ++i) {
    const uint32_t got = __shfl_xor_sync(all_lanes, high ? words[i] : words[i + 2], 2);
    words[i] = high ? got : words[i];
    words[i + 2] = high ? words[i + 2] : got;
  }
}

/// Each lane of a warp has two neighbours of a row of eight by eight elements: two of a column afterwards.
inline uint32_t transpose_eight(uint32_t two) {
  uint32_t columns;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(columns) : "r"(two));
  return columns;
}

}  // namespace incipit
