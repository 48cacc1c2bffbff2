// Profiled passes as JSON trace events, which Perfetto and Chrome's about:tracing open.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "measure/limits.h"
#include "session/gateway.h"

namespace incipit {

/// One pass over the plan.
struct TracedPass {
  std::string name;  // "prompt 512", "decode 3"
  PassShape shape;
  double begin_ms = 0;          // after the first pass's begin
  std::vector<StepTime> steps;  // in the plan's order
};

/// Runs a prompt and `decode` tokens after its first on a gateway whose session profiles, alone and step by step.
std::vector<TracedPass> trace_passes(Gateway& gateway, int32_t prompt, int32_t decode);
/// Runs prompts of as many sequences, and gives `tokens` of the passes in which all of them decode.
std::vector<TracedPass> trace_decoding(Gateway& gateway, int32_t prompt, int32_t tokens, int32_t sequences);

/// What every trace begins with, as text.
constexpr std::string_view trace_beginning =
    R"({"traceEvents":[{"name":"process_name","ph":"M","ts":0,"pid":1,"args":{"name":"incipit"}})";

/// {"traceEvents": […]}: a complete event a pass, and within it one a step, laid end to end as only their durations are
/// measured: name, and as args the kernel with its configuration, the problem, ms, limit_ms, and the multiple where
/// something limits the step. Events are in the order of their times.
boost::json::object trace_of(const std::vector<TracedPass>& passes, const plan::Plan& plan,
                             const MachineCeilings& ceilings);

}  // namespace incipit
