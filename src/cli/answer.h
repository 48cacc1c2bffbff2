// One request and its answer, printed as it comes: what `run` and `run --chat` do with a prompt.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "session/gateway.h"

namespace incipit::cli {

struct Answer {
  using Clock = std::chrono::steady_clock;

  std::string text;
  std::vector<int32_t> ids;
  FinishReason finish = FinishReason::none;
  std::string failure;
  int32_t prompt_tokens = 0, cached_tokens = 0;
  Clock::time_point submitted, first, last;  // of the tokens: when the engine made them
};

double milliseconds(Answer::Clock::time_point from, Answer::Clock::time_point to);

/// Ends with the request, or with Ctrl-C. With `show` the text is printed as it comes, and a line's end before an
/// Error. Throws Error when the request can never run, when the weights turn out to be altered, and when nobody reads
/// on.
Answer answer(Gateway& gateway, Request request, bool show);

}  // namespace incipit::cli
