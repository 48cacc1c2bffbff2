// Replays a trace of requests on the scheduler, with a model of what steps take in the place of an engine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "session/scheduler.h"

namespace incipit {

struct TraceRequest {
  int64_t arrival_us = 0;
  int32_t prompt_tokens = 0, new_tokens = 0;
  std::vector<int64_t> blocks;  // requests whose prompts begin with the same blocks share these; none: nothing
};

struct RequestTrace {
  std::vector<TraceRequest> requests;  // in order of arrival, the first at 0
  int32_t block_tokens = 0;            // 0: no request has blocks
};

/// A CSV file of TIMESTAMP,ContextTokens,GeneratedTokens, as Azure publishes them, or lines of JSON with timestamp
/// (ms), input_length, output_length and hash_ids (of 512 tokens each), as Mooncake does. Throws Error naming file and
/// line.
RequestTrace read_request_trace(const std::filesystem::path& path);

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
  int64_t refused = 0, cut = 0;       // requests; prompts that the context does not hold were cut
  int64_t prompt_tokens = 0, cached_tokens = 0, new_tokens = 0;
  int64_t us = 0, busy_us = 0;
};

SimulationResult simulate(const RequestTrace& trace, const StepCosts& costs, const SimulationOptions& options);

}  // namespace incipit
