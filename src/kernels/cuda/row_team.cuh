// A row, or a column group of one, in the registers of the threads that work on it together: a warp of a block of four
// with WARP_TEAMS, else a block. Thread t of n has the columns [4·(p·n + t), …+4) for each p < PACKS, so sums of a
// width have one order.
#pragma once

#include "kernels/cuda/codes.cuh"
#include "kernels/cuda/row_access.cuh"
#include "kernels/cuda/row_team_params.h"

namespace incipit {

constexpr int pack_columns = 4;
constexpr int most_team_threads = WARP_TEAMS ? 128 : 1024;  // of a block
using RowPacks = float[PACKS][pack_columns];

struct RowTeam {
  int32_t row = 0, group = 0;
  int32_t first = 0;  // column of the row that the group begins at
  int32_t thread = 0, threads = 0;

  explicit RowTeam(const RowTeamParams& params) {
#if WARP_TEAMS
    threads = warp_size;
    thread = static_cast<int32_t>(threadIdx.x % warp_size);
    const auto team = static_cast<int32_t>((blockIdx.x * blockDim.x + threadIdx.x) / warp_size);
#else
    threads = static_cast<int32_t>(blockDim.x);
    thread = static_cast<int32_t>(threadIdx.x);
    const auto team = static_cast<int32_t>(blockIdx.x);
#endif
    row = team / params.groups;
    group = team % params.groups;
    first = group * params.group_width;
  }
  int32_t column(int pack) const { return (pack * threads + thread) * pack_columns; }
};

/// One number of each thread's, made into one for all by a warp's reduction, to which zero is neutral. Each `use` in a
/// kernel has memory of its own.
template <int use, typename Reduce>
inline float reduce_team(float x, Reduce reduce_warp) {
  x = reduce_warp(x);
#if WARP_TEAMS
  return x;
#else
  __shared__ float of_warps[32];
  const unsigned lane = threadIdx.x % warp_size;
  if (lane == 0) of_warps[threadIdx.x / warp_size] = x;
  __syncthreads();
  return reduce_warp(lane < blockDim.x / warp_size ? of_warps[lane] : 0);
#endif
}
template <int use>
inline float team_sum(float x) {
  return reduce_team<use>(x, [](float y) { return warp_sum(y); });
}
template <int use>
inline float team_max(float x) {
  return reduce_team<use>(x, [](float y) { return warp_max(y); });
}

/// The group's columns of what begins at `from`; zeros beyond its width.
template <typename T>
inline void load_packs(const T* from, const RowTeamParams& params, const RowTeam& team, RowPacks& to) {
#pragma unroll
  for (int p = 0; p < PACKS; ++p) load_columns(from, team.column(p), params.group_width, params.aligned, to[p]);
}

/// Zeros behind the row's last column.
template <typename T>
inline void pad_columns(T* row, int32_t padded_width, const RowTeamParams& params, const RowTeam& team) {
  if (team.group != params.groups - 1) return;
  for (int32_t column = params.groups * params.group_width + team.thread; column < padded_width;
       column += team.threads) {
    row[column] = T{};
  }
}

/// Stores pack p of a group that begins at `to`: rounded to T, or as codes of the scale.
template <typename T>
inline void store_pack(T* to, int p, const RowTeamParams& params, const RowTeam& team,
                       const float (&from)[pack_columns], float scale = 1) {
  T elements[pack_columns];
#pragma unroll
  for (int i = 0; i < pack_columns; ++i) {
    if constexpr (sizeof(T) == 1) {
      elements[i] = code_of(from[i], scale);
    } else {
      elements[i] = from_float<T>(from[i]);
    }
  }
  store_columns(to, team.column(p), params.group_width, params.group_width, params.aligned, elements);
}

}  // namespace incipit
