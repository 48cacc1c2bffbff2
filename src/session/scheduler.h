// Decides what the next step runs. Pure integers: no tensors, no clock, no text; testable and fuzzable without a model.
//
// Continuous batching with chunked prefill: every running sequence that is decoding gets its one token in every step;
// what is left of the step's token budget goes to prompts, first come first served, in chunks. When pages run out, the
// youngest sequence is preempted: it gives its pages back and its tokens are prefilled again later, so its text does
// not change.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <vector>

#include "session/page_pool.h"

namespace incipit {

using SequenceId = int64_t;

struct SchedulerLimits {
  struct Group {
    int32_t page_tokens = 0;
    int32_t window = 0;
    int32_t pages = 0;
  };
  int32_t max_context = 0;
  int32_t slots = 0;
  int32_t max_tokens = 0;  // of a step
  int32_t max_rows = 0;
  int32_t max_sequences = 0;  // of a step
  int32_t prefill_chunk = 0;  // most prompt tokens of one step while others decode; 0: max_tokens
  std::vector<Group> groups;
};

/// One sequence's share of the step to run.
struct ScheduledEntry {
  SequenceId id = 0;
  int32_t slot = 0;
  int32_t first_position = 0;
  int32_t tokens = 0;
  bool from_last_sample = false;  // the one token is the slot's newest sample, perhaps not yet collected
  bool samples = false;           // the last token is sampled
  bool starts = false;            // first step since the slot was given: configure it
};

class Scheduler {
 public:
  explicit Scheduler(SchedulerLimits limits);

  /// Queues a sequence of `prompt_tokens` that may grow to `max_tokens` in all. False when it can never run (longer
  /// than the context or than all pages).
  bool add(SequenceId id, int32_t prompt_tokens, int32_t max_tokens);
  /// Ends a sequence, waiting or running; its pages and slot are free at once for steps not yet scheduled.
  void remove(SequenceId id);
  /// The next step; empty when nothing can run. The entries' tokens count as done from now on: sampled sequences are
  /// one token longer.
  std::span<const ScheduledEntry> schedule();
  /// Page table of a running sequence in a group.
  std::span<const int32_t> pages(SequenceId id, int32_t group) const;

  int32_t waiting() const;
  int32_t running() const;
  const SchedulerLimits& limits() const { return limits_; }
  int32_t free_pages(int32_t group) const;

 private:
  struct Sequence {
    int32_t slot = -1;
    int32_t known_tokens = 0;  // prompt and samples scheduled so far
    int32_t done_tokens = 0;   // in the cache once the scheduled steps have run
    int32_t max_tokens = 0;
    bool starts = false;
    std::vector<std::vector<int32_t>> pages;  // a group
  };
  SchedulerLimits limits_;
  std::vector<PagePool> pools_;
  std::vector<int32_t> free_slots_;
  std::map<SequenceId, Sequence> sequences_;
  std::deque<SequenceId> waiting_;   // in order of arrival; preempted ones in front
  std::vector<SequenceId> running_;  // in order of arrival
  std::vector<ScheduledEntry> step_;
};

}  // namespace incipit
