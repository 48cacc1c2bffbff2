// The least time that a pass over a plan can take on this machine: what `bench` divides by.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "measure/ceilings.h"
#include "measure/work.h"

namespace incipit::plan {
struct Plan;
}

namespace incipit {

class Engine;
class Progress;

/// A pass of so many sequences alike: of each, `tokens` new tokens behind `first_position` cached ones.
struct PassShape {
  int64_t first_position = 0;
  int64_t tokens = 0;
  bool sampled = true;  // the last of them; a prompt's earlier passes sample none
  int64_t sequences = 1;
};

/// What this machine can do at most.
struct MachineCeilings {
  int threads = 0;
  Ceilings all_threads, one_core;
  std::string gpu;                        // its name where an engine is for one: then all_threads is the whole of it
  std::function<Ceilings()> measure_gpu;  // empty: the processor is measured
  /// Bandwidth over a buffer as large as the weights that a token reads: more than the memory's where they fit into the
  /// caches. Limits are made of this one.
  int64_t working_set_bytes = 0;
  double working_set_bandwidth = 0;

  /// Measures again what limits are made of, and keeps the larger of each: the machine was able to do it. Tries a few
  /// times where other programs seem to hold some of the cores.
  void measure_again(Progress& progress);
};

/// Of the processor. Takes some seconds. `threads` 0: all.
MachineCeilings measure_machine(int threads, int64_t working_set_bytes, Progress& progress);
/// Of what the engine runs on, over as many bytes as its weights; it outlives the result.
MachineCeilings measure_machine(const Engine& engine, int threads, Progress& progress);

/// Bytes of weights that every pass reads.
int64_t working_set_of(const plan::Plan& plan);

/// Which steps of the plan run over the sampled rows alone, by name.
std::map<std::string, bool, std::less<>> steps_over_rows(const plan::Plan& plan);

/// Milliseconds of one step of the plan, by its problem's text; 0 where nothing limits it but the caches.
double limit_of_step(std::string_view problem, bool over_rows, const PassShape& shape, const MachineCeilings& ceilings);

/// Milliseconds of the whole: max(arithmetic / peak, bytes / bandwidth), each summed over the steps.
double limit_of_pass(const plan::Plan& plan, const PassShape& shape, const MachineCeilings& ceilings);

}  // namespace incipit
