// What a session keeps of a request on its way, and of a step in flight.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "session/session.h"
#include "session/stop_text.h"
#include "text/detokenizer.h"

namespace incipit {

/// One request on its way.
struct LiveSequence {
  Request request;
  Session::Listener listener;
  std::vector<int32_t> tokens;  // the prompt and the samples that have been collected
  int32_t max_tokens = 0;       // prompt and samples in all
  std::unique_ptr<StreamingDetokenizer> detokenizer;
  StopTextFilter stops;
  std::vector<uint32_t> unended;  // BatchEntry's mask while nothing may end the text
  std::vector<SequenceId> forks;  // which wait for its prompt
  SequenceId held_by = 0;         // the one whose prompt this one waits for; 0: the scheduler knows it
  bool prompt_submitted = false;
  bool cancelled = false;
  std::optional<int32_t> cached_tokens;  // once it has started
  int32_t prompt_done = 0;
  std::chrono::steady_clock::time_point started;
  std::chrono::nanoseconds scheduling{0};
  std::optional<PrefixExplanation> explained;

  int32_t prompt_tokens() const { return static_cast<int32_t>(request.prompt.size()); }
  bool waits_for_prompt() const { return !prompt_submitted && !cancelled; }
  int32_t new_tokens() const { return static_cast<int32_t>(tokens.size()) - prompt_tokens(); }
  TokenEvent event(SequenceId id) const {
    TokenEvent event;
    event.id = id;
    event.prompt_tokens = prompt_tokens();
    event.cached_tokens = cached_tokens.value_or(0);
    event.new_tokens = new_tokens();
    event.prompt_done = prompt_done;
    event.started = started;
    event.scheduling = scheduling;
    event.explained = explained ? &*explained : nullptr;
    return event;
  }
};

/// How far a step brings a prompt.
struct PromptChunk {
  SequenceId id = 0;
  int32_t done = 0;
};

/// A submitted step and whose samples it brings, in the order of its rows; and the chunks that are told of.
struct InFlight {
  Ticket ticket;
  int64_t submitted_us = 0;
  std::vector<SequenceId> samples;
  std::vector<PromptChunk> chunks;
};

}  // namespace incipit
