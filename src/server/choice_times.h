// When a choice's tokens came, and where the time of its first one went.
#pragma once

#include <boost/json/fwd.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "server/http.h"
#include "session/session.h"

namespace incipit {

/// The stages before a request is the engine's. Moments that were not reached are the epoch.
struct RequestTimes {
  using Clock = HttpRequest::Clock;
  Clock::time_point begun, received;    // first byte, last byte
  Clock::time_point preparing, parsed;  // a work thread has it, and has read its JSON
  std::chrono::nanoseconds render{0}, tokenise{0};
  Clock::time_point submitted;
};

struct ChoiceTimes {
  using Clock = HttpRequest::Clock;

  void add(const TokenEvent& event, Clock::time_point now);
  /// llama.cpp's `timings`, and `stages` beside them.
  boost::json::object timings(const RequestTimes& request) const;

  /// A share of the prompt that one step computed.
  struct Chunk {
    int32_t tokens = 0;
    Clock::time_point done;
  };

  Clock::time_point started, first_token, last_token;  // the epoch where there was none
  Clock::time_point first_write;                       // the first token's, of a stream
  std::chrono::nanoseconds scheduling{0};
  int32_t prompt_tokens = 0, cached_tokens = 0, new_tokens = 0;
  int32_t prompt_done = 0;
  std::vector<Chunk> chunks;
  std::optional<PrefixExplanation> explained;  // where that is wanted
};

}  // namespace incipit
