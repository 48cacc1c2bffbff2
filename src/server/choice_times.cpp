#include "server/choice_times.h"

#include <boost/json.hpp>

namespace incipit {
namespace {

using Moment = ChoiceTimes::Clock::time_point;

double milliseconds_of(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

double milliseconds_between(Moment from, Moment to) { return milliseconds_of(to - from); }

/// Null where one of them was not reached.
boost::json::value stage_between(Moment from, Moment to) {
  if (from == Moment() || to == Moment()) return nullptr;
  return milliseconds_between(from, to);
}

void add_rates(boost::json::object& into, const std::string& kind, int32_t tokens, double ms) {
  into[kind + "_n"] = tokens;
  into[kind + "_ms"] = ms;
  into[kind + "_per_token_ms"] = tokens > 0 ? ms / tokens : 0;
  into[kind + "_per_second"] = ms > 0 ? tokens / ms * 1e3 : 0;
}

}  // namespace

void ChoiceTimes::add(const TokenEvent& event, Clock::time_point now) {
  started = event.started;
  scheduling = event.scheduling;
  if (event.explained != nullptr && !explained) explained = *event.explained;
  prompt_tokens = event.prompt_tokens;
  cached_tokens = event.cached_tokens;
  new_tokens = event.new_tokens;
  const int32_t before = std::max(prompt_done, event.cached_tokens);
  prompt_done = event.token.id >= 0 ? event.prompt_tokens : std::max(before, event.prompt_done);
  if (prompt_done > before) chunks.push_back({prompt_done - before, now});
  if (event.token.id < 0) return;
  if (first_token == Moment()) first_token = now;
  last_token = now;
}

boost::json::object ChoiceTimes::timings(const RequestTimes& request) const {
  const Moment begun = started == Moment() ? request.submitted : started;
  boost::json::object timings{{"cache_n", cached_tokens}};
  add_rates(timings, "prompt", prompt_tokens - cached_tokens,
            first_token == Moment() ? 0 : milliseconds_between(begun, first_token));
  add_rates(timings, "predicted", new_tokens, milliseconds_between(first_token, last_token));
  boost::json::array prefill;
  Moment last = begun;
  for (const Chunk& chunk : chunks) {
    prefill.push_back({{"tokens", chunk.tokens}, {"ms", milliseconds_between(last, chunk.done)}});
    last = chunk.done;
  }
  timings["stages"] = {{"accept_ms", stage_between(request.begun, request.received)},
                       {"wait_ms", stage_between(request.received, request.preparing)},
                       {"parse_ms", stage_between(request.preparing, request.parsed)},
                       {"render_ms", milliseconds_of(request.render)},
                       {"tokenise_ms", milliseconds_of(request.tokenise)},
                       {"queue_ms", milliseconds_between(request.submitted, begun - scheduling)},
                       {"lookup_ms", milliseconds_of(scheduling)},
                       {"prefill", std::move(prefill)},
                       {"first_write_ms", stage_between(first_token, first_write)}};
  return timings;
}

}  // namespace incipit
