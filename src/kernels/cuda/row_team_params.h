// What kernels that keep a row in registers know of it (row_team.cuh), and their launch.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch_counts.h"

namespace incipit {

struct RowTeamParams {
  LaunchCounts counts;
  int32_t group_width, groups;
  bool aligned;  // all operands' groups begin at multiples of 16 bytes, or of 4 elements where these are less
};

}  // namespace incipit
