// A row, or a column group of one, in the registers of the threads that work on it together: a warp of a block of four
// with WARP_TEAMS, else a block. Thread t of n has the columns [4·(p·n + t), …+4) for each p < PACKS, so sums of a
// width have one order.
#pragma once

#include "kernels/cuda/row_access.cuh"
#include "kernels/cuda/row_codes.cuh"
#include "kernels/cuda/row_team_params.h"

namespace incipit {

constexpr int pack_columns = 4;
/// Blocks of a multiprocessor that `threads` threads are, at least one.
constexpr int blocks_of_threads(int threads) { return threads > THREADS ? threads / THREADS : 1; }
using RowPacks = float[PACKS][pack_columns];

struct RowTeam {
  int32_t team = 0;  // counted over all groups of all rows
  int32_t row = 0, group = 0;
  int32_t first = 0;  // column of the row that the group begins at
  int32_t thread = 0, threads = 0;

  explicit RowTeam(const RowTeamParams& params) {
#if WARP_TEAMS
    threads = warp_size;
    thread = static_cast<int32_t>(threadIdx.x % warp_size);
    team = static_cast<int32_t>((blockIdx.x * blockDim.x + threadIdx.x) / warp_size);
#else
    threads = static_cast<int32_t>(blockDim.x);
    thread = static_cast<int32_t>(threadIdx.x);
    team = static_cast<int32_t>(blockIdx.x);
#endif
    find_group(params);
  }
  /// Goes on to what no team of the grid has had, where there are fewer teams than groups of rows.
  void move_on(const RowTeamParams& params) {
    team += static_cast<int32_t>(WARP_TEAMS ? gridDim.x * blockDim.x / warp_size : gridDim.x);
    find_group(params);
  }
  int32_t column(int pack) const { return (pack * threads + thread) * pack_columns; }

 private:
  void find_group(const RowTeamParams& params) {
    row = team / params.groups;
    group = team % params.groups;
    first = group * params.group_width;
  }
};

/// One number of each thread's, made into one for all by a warp's reduction, to which zero is neutral. Each `use` in a
/// kernel has memory of its own, and so have a use's even and odd `turn`s: nobody is two turns ahead.
template <int use, typename T, typename Reduce>
inline T reduce_team(T x, int turn, Reduce reduce_warp) {
  x = reduce_warp(x);
#if WARP_TEAMS
  return x;
#else
  __shared__ T of_warps[2][32];
  const unsigned lane = threadIdx.x % warp_size;
  if (lane == 0) of_warps[turn % 2][threadIdx.x / warp_size] = x;
  __syncthreads();
  return reduce_warp(lane < blockDim.x / warp_size ? of_warps[turn % 2][lane] : T{});
#endif
}
template <int use>
inline float team_sum(float x, int turn = 0) {
  return reduce_team<use>(x, turn, [](float y) { return warp_sum(y); });
}
template <int use>
inline float team_max(float x, int turn = 0) {
  return reduce_team<use>(x, turn, [](float y) { return warp_max(y); });
}

/// The bits of the largest magnitude of a thread's numbers, which value(pack, column) gives. Without their signs floats
/// are ordered as their bits are, NaNs last.
template <typename Value>
inline uint32_t largest_bits_of(const Value& value) {
  uint32_t bits = 0;
#pragma unroll
  for (int p = 0; p < PACKS; ++p) {
#pragma unroll
    for (int i = 0; i < pack_columns; ++i) bits = max(bits, __float_as_uint(value(p, i)) & 0x7fffffffU);
  }
  return bits;
}

/// The largest magnitude of a team's numbers, of which a NaN counts for nothing.
struct TeamLargest {
  float value;
  bool finite;  // all of the numbers are
};
/// `bits`: of all threads'.
template <int use, typename Value>
inline TeamLargest team_largest(uint32_t bits, const Value& value, int turn = 0) {
  if (bits <= infinity_bits) return {__uint_as_float(bits), bits < infinity_bits};
  float largest = 0;
#pragma unroll
  for (int p = 0; p < PACKS; ++p) {
#pragma unroll
    for (int i = 0; i < pack_columns; ++i) largest = fmaxf(largest, fabsf(value(p, i)));
  }
  return {team_max<use>(largest, turn), false};
}
inline uint32_t warp_max(uint32_t x) { return __reduce_max_sync(all_lanes, x); }

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

/// Stores pack p of a group that begins at `to`: rounded to T, or as codes.
template <typename T>
inline void store_pack(T* to, int p, const RowTeamParams& params, const RowTeam& team,
                       const float (&from)[pack_columns], const RowCodes& codes = {}) {
  if constexpr (sizeof(T) == 1) {
    union {
      uint32_t four;
      T each[pack_columns];
    } made{codes.codes({from[0], from[1], from[2], from[3]})};
    store_columns(to, team.column(p), params.group_width, params.group_width, params.aligned, made.each);
  } else {
    store_floats(to, team.column(p), params.group_width, params.group_width, params.aligned, from);
  }
}

}  // namespace incipit
