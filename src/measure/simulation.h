// Replays a trace of requests on the scheduler, with a model of what steps take in the place of an engine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "load/arrivals.h"
#include "session/scheduler.h"

namespace incipit {

struct SimulationOptions {
  SchedulerLimits limits;
  SchedulerPolicy policy;
  double speed = 1;                 // how many times as fast requests come
  int64_t most_first_token_us = 0;  // a longer prediction refuses a request; 0: none is refused
};

/// Times in µs of simulated time.
struct SimulationResult {
  std::vector<int64_t> first_tokens;  // after the arrival
  std::vector<double> slowdowns;      // of what the prompt would have taken alone
  std::vector<int64_t> gaps;          // between tokens
  std::vector<double> predictions;    // over what came
  int64_t refused = 0;                // requests
  int64_t prompt_tokens = 0, cached_tokens = 0, new_tokens = 0;
  int64_t us = 0, busy_us = 0;
};

/// The context holds every arrival (cut_to_context).
SimulationResult simulate(std::span<const Arrival> arrivals, const StepCosts& costs, const SimulationOptions& options);

}  // namespace incipit
