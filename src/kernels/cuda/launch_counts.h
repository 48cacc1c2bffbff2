// How a CUDA kernel knows how much there is to do; part of every kernel's parameters.
#pragma once

#include "kernels/batch.h"

namespace incipit {

/// With `counts` the step says how many rows and sequences there are, else the launch does.
struct LaunchCounts {
  const StepCounts* counts = nullptr;
  int32_t rows = 0;  // at most; all there are without counts
  RowAxis axis = RowAxis::tokens;
};

}  // namespace incipit
