// Parameters of publish.cu.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch_counts.h"

namespace incipit {

struct PublishParams {
  LaunchCounts counts;
  uint64_t step;  // where the step does not say
  uint64_t* done;
};

}  // namespace incipit
