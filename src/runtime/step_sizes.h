// The sizes of steps for which programs are recorded: a bucket places the buffers, and the rows of each axis choose the
// kernels.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/batch.h"

namespace incipit {

namespace plan {
struct Plan;
}  // namespace plan

/// Steps whose buffers lie alike and whose kernels are the same.
struct StepSize {
  uint32_t bucket = 0;                          // the plan's
  int32_t tokens = 0, rows = 0, sequences = 0;  // at most

  bool fits(const StepCounts& counts) const {
    return counts.tokens <= tokens && counts.rows <= rows && counts.sequences <= sequences;
  }
};

/// Of a plan that the engine's reader has checked: ascending in buckets and, within them, in tokens and rows, so that
/// the first that fits is a step's. Sizes whose steps all fit a smaller bucket are left out.
std::vector<StepSize> step_sizes(const plan::Plan& plan);

}  // namespace incipit
