#include "measure/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <functional>
#include <map>

#include "base/progress.h"
#include "engine/plan_items.h"
#include "measure/measure.h"

namespace incipit {
namespace {

double total_ms(const TracedPass& pass) {
  double total = 0;
  for (const StepTime& step : pass.steps) total += step.milliseconds;
  return total;
}

/// Times are in microseconds.
boost::json::object complete_event(std::string_view name, std::string_view category, double begin_ms, double ms,
                                   boost::json::object args) {
  return {{"name", name},    {"cat", category}, {"ph", "X"}, {"ts", 1e3 * begin_ms},
          {"dur", 1e3 * ms}, {"pid", 1},        {"tid", 1},  {"args", std::move(args)}};
}

void add_limit(boost::json::object& args, double ms, double limit_ms) {
  args["ms"] = ms;
  args["limit_ms"] = limit_ms;
  if (limit_ms > 0) args["multiple"] = ms / limit_ms;
}

/// Runs a request, with a call after each of the session's steps: profiles are the executor's, and belong to a step.
void run_by_steps(Gateway& gateway, const Request& request, const std::function<void(Executor&)>& after_step) {
  gateway.run_alone([&](Session& session) {
    session.submit(request, [](const TokenEvent&) {});
    for (bool more = true; more;) {
      check_interrupt();
      more = session.step();
      after_step(session.executor());
    }
  });
}

}  // namespace

std::vector<TracedPass> trace_passes(Gateway& gateway, int32_t prompt, int32_t decode) {
  using Clock = std::chrono::steady_clock;
  std::vector<TracedPass> passes;
  const int32_t most = gateway.limits().max_tokens;
  const auto start = Clock::now();
  double end_ms = 0;
  int32_t position = 0;
  run_by_steps(gateway, measured_request(gateway, prompt, decode + 1), [&](Executor& executor) {
    TracedPass pass;
    pass.steps = executor.take_profile();
    if (pass.steps.empty()) return;  // the last result was fetched
    const bool decodes = position >= prompt;
    pass.shape = {position, decodes ? 1 : std::min(most, prompt - position)};
    position += static_cast<int32_t>(pass.shape.tokens);
    pass.shape.sampled = position >= prompt;
    pass.name = decodes ? fmt::format("decode {}", position - prompt) : fmt::format("prompt {}", position);
    const double now_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count(), ms = total_ms(pass);
    pass.begin_ms = std::max(end_ms, now_ms - ms);
    end_ms = pass.begin_ms + ms;
    passes.push_back(std::move(pass));
  });
  if (!passes.empty()) {
    const double first = passes.front().begin_ms;
    for (TracedPass& pass : passes) pass.begin_ms -= first;
  }
  return passes;
}

std::vector<TracedPass> trace_decoding(Gateway& gateway, int32_t prompt, int32_t tokens, int32_t sequences) {
  std::vector<TracedPass> passes;
  gateway.run_alone([&](Session& session) {
    int32_t begun = 0;
    int64_t told = 0;
    std::vector<SequenceId> ids;
    for (int32_t i = 0; i < sequences; ++i) {
      ids.push_back(session.submit(measured_request(gateway, prompt, 0), [&](const TokenEvent& event) {
        ++told;
        if (event.new_tokens == 1) ++begun;
      }));
    }
    for (bool more = true; more && std::ssize(passes) < tokens;) {
      check_interrupt();
      const bool all_decode = begun == sequences;
      const int64_t before = told / sequences;
      more = session.step();
      TracedPass pass;
      pass.steps = session.executor().take_profile();
      if (!all_decode || pass.steps.empty()) continue;
      pass.shape = {prompt + before, 1, true, sequences};
      passes.push_back(std::move(pass));
    }
    for (const SequenceId id : ids) session.cancel(id);
    session.run();
  });
  return passes;
}

boost::json::object trace_of(const std::vector<TracedPass>& passes, const plan::Plan& plan,
                             const MachineCeilings& ceilings) {
  const std::map<std::string, bool, std::less<>> over_rows = steps_over_rows(plan);
  boost::json::array events;
  events.push_back({{"name", "process_name"}, {"ph", "M"}, {"ts", 0}, {"pid", 1}, {"args", {{"name", "incipit"}}}});
  for (const TracedPass& pass : passes) {
    boost::json::object whole;
    const double ms = total_ms(pass);
    add_limit(whole, ms, limit_of_pass(plan, pass.shape, ceilings));
    events.push_back(complete_event(pass.name, "pass", pass.begin_ms, ms, std::move(whole)));
    double begin_ms = pass.begin_ms;
    for (const StepTime& step : pass.steps) {
      boost::json::object args{{"kernel", step.kernel}, {"problem", step.problem}};
      const auto axis = over_rows.find(step.name);
      add_limit(args, step.milliseconds,
                limit_of_step(step.problem, axis == over_rows.end() || axis->second, pass.shape, ceilings));
      events.push_back(complete_event(step.name, "step", begin_ms, step.milliseconds, std::move(args)));
      begin_ms += step.milliseconds;
    }
  }
  return {{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}};
}

}  // namespace incipit
