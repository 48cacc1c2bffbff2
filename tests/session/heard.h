// Requests to a session, and what is heard of them.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "session/session.h"

namespace incipit {

/// All that a request's listener heard.
struct Heard {
  std::vector<int32_t> ids;
  std::string text;
  FinishReason finish = FinishReason::none;
  std::string failure;
  int32_t events_after_the_end = 0;
  int32_t cached_tokens = 0;

  Session::Listener listener() {
    return [this](const TokenEvent& event) {
      events_after_the_end += finish != FinishReason::none;
      if (event.token.id >= 0) ids.push_back(event.token.id);
      text += event.text;
      finish = event.finish;
      failure = event.failure;
      cached_tokens = event.cached_tokens;
      if (event.token.id >= 0) {
        EXPECT_EQ(event.new_tokens, static_cast<int32_t>(ids.size()));
      }
    };
  }
};

inline Request greedy_request(std::vector<int32_t> prompt, int32_t tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_new_tokens = tokens;
  request.ignore_end = true;
  return request;
}

inline SessionOptions two_threads() {
  SessionOptions options;
  options.threads = 2;
  return options;
}

/// Page pools that hold one sequence of the full context, and one page more.
inline SessionOptions tight_pools(const std::shared_ptr<const Engine>& engine, SessionOptions options) {
  const ExecutorLimits limits = Session(engine, options).executor().limits();
  for (const ExecutorLimits::Group& group : limits.groups) {
    options.executor.cache_bytes += (limits.max_context / group.page_tokens + 1) * group.page_bytes;
  }
  return options;
}

}  // namespace incipit
