// How rows are shared out to teams of threads (row_team.cuh).
#pragma once

#include <string>

#include "kernels/cuda/describe.h"
#include "kernels/cuda/row_launch.h"
#include "kernels/cuda/row_team_params.h"

namespace incipit {

/// `groups` equal column groups make up the width.
constexpr bool makes_groups(int32_t groups, int32_t width) { return groups > 0 && width > 0 && width % groups == 0; }

/// The threads that have a row of some width, each with `packs` packs of four columns.
struct TeamShape {
  bool is_warp = false;
  int32_t packs = 1;
  uint32_t threads = 32;
};
constexpr TeamShape team_shape(int32_t width) {
  const int32_t packs = (width + 3) / 4;
  if (packs <= 128) return {true, packs <= 32 ? 1 : packs <= 64 ? 2 : 4, 32};
  int32_t each = 2;  // of 8192 columns; beyond 32,768 a thread's no longer fit its registers
  while (packs > 1024 * each) each *= 2;
  return {false, each, static_cast<uint32_t>(round_up((packs + each - 1) / each, 32))};
}

constexpr uint32_t warps_a_block = 4;  // of a block whose warps are teams
constexpr uint32_t block_threads(const TeamShape& shape) { return shape.is_warp ? warps_a_block * 32 : shape.threads; }

inline std::string team_defines(int32_t group_width) {
  const TeamShape shape = team_shape(group_width);
  return define("WARP_TEAMS", shape.is_warp ? 1 : 0) + define("PACKS", shape.packs) +
         define("THREADS", static_cast<int>(block_threads(shape)));
}

/// A team for each group of each row; of `most_threads` at most where teams move on to further ones.
inline CudaLaunch team_launch(const LaunchCounts& counts, int32_t group_width, int32_t groups,
                              uint32_t most_threads = UINT32_MAX) {
  const TeamShape shape = team_shape(group_width);
  const auto teams = static_cast<uint32_t>(counts.rows * groups);
  CudaLaunch launch;
  launch.threads = block_threads(shape);
  launch.grid[0] = std::min(shape.is_warp ? (teams + warps_a_block - 1) / warps_a_block : teams,
                            std::max(most_threads / launch.threads, 1U));
  launch.early = true;
  return launch;
}

}  // namespace incipit
