// What kernels that keep a row in registers know of it (row_team.cuh).
#pragma once

#include <cstdint>

#include "kernels/cuda/launch_counts.h"

namespace incipit {

struct RowTeamParams {
  LaunchCounts counts;
  int32_t group_width, groups;
  bool aligned;  // groups of all operands can be moved in fours
};

}  // namespace incipit
