// What engines for GPUs are built for where they can be tested.
#pragma once

#include <string>
#include <vector>

#include "base/target.h"
#include "tune/cuda_compiler.h"

namespace incipit {

/// The GPU of this machine, and what is built for any; none where engines for them cannot be built and run.
inline std::vector<std::string> gpu_targets_here() {
  if (this_machine(Backend::cuda).architecture == 0 || !nvrtc_fault().empty()) return {};
  return {"cuda", "cuda-sm80"};
}

}  // namespace incipit
