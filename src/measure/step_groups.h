// Where the time of profiled passes goes, by kind of step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "measure/limits.h"
#include "measure/trace.h"

namespace incipit {

/// Steps of the same problem and kernel, together.
struct StepGroup {
  std::string kind;  // the first one's name, layer numbers as *
  std::string problem, kernel;
  int32_t count = 0;  // of a run
  double ms = 0, limit_ms = 0;
};

/// The steps of `runs` equal runs, each of one pass or more, as those of one: slowest first. Each step's limit is that
/// of the tokens of its own pass.
std::vector<StepGroup> group_steps(const std::vector<TracedPass>& passes, const plan::Plan& plan,
                                   const MachineCeilings& ceilings, int32_t runs);

}  // namespace incipit
