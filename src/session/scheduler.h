// Decides what the next step runs. Pure integers: no tensors, no clock, no text; testable and fuzzable without a model.
//
// Continuous batching with chunked prefill: every running sequence that is decoding gets its one token in every step;
// what is left of the step's token budget goes to prompts, first come first served, in chunks. Admission is strictly in
// order of arrival, and takes the pages of the whole prompt at once. When a decoding sequence finds no page, the
// youngest sequence is preempted: it gives its pages back and its tokens are prefilled again later, so its text does
// not change.
//
// Steps run in the order in which they were scheduled, on a device whose queue keeps that order. Hence pages and slots
// may go to another sequence as soon as no step yet to be scheduled needs them, even while earlier steps are in flight.
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
  /// Slots beyond what one step can decode together are left unused, so that no running sequence ever waits.
  explicit Scheduler(SchedulerLimits limits);

  /// Queues a sequence of `prompt_tokens` that may grow to `max_tokens` in all: its last sample is never fed back, so
  /// max_context + 1 is possible. False when it can never run (longer than the context or than all pages). Ids are not
  /// used twice.
  bool add(SequenceId id, int32_t prompt_tokens, int32_t max_tokens);
  /// Ends a sequence, waiting or running; its pages and slot are free at once for steps not yet scheduled.
  void remove(SequenceId id);
  /// The next step; empty when nothing can run. The entries' tokens count as done from now on: sampled sequences are
  /// one token longer. Valid until the next call, as are the page tables of its sequences that were not removed.
  std::span<const ScheduledEntry> schedule();
  /// Page table of a running sequence in a group. Pages behind a group's window are kept as long as the sequence runs.
  std::span<const int32_t> pages(SequenceId id, int32_t group) const;

  int32_t waiting() const { return static_cast<int32_t>(waiting_.size()); }
  int32_t running() const { return static_cast<int32_t>(running_.size()); }
  const SchedulerLimits& limits() const { return limits_; }
  int32_t free_pages(int32_t group) const;

 private:
  struct Sequence {
    int64_t arrival = 0;
    int32_t slot = -1;
    int32_t known_tokens = 0;  // prompt and samples scheduled so far
    int32_t done_tokens = 0;   // in the cache once the scheduled steps have run
    int32_t max_tokens = 0;
    bool starts = false;
    bool decodes = false;                     // all but the newest sample is done
    std::vector<std::vector<int32_t>> pages;  // a group
    bool complete() const { return known_tokens >= max_tokens; }
  };
  Sequence& sequence(SequenceId id);
  int32_t pages_for(int32_t tokens, size_t group) const;
  bool fits(const Sequence& sequence, int32_t tokens, int32_t spare) const;
  void extend(Sequence& sequence, int32_t tokens);
  void leave(Sequence& sequence);
  void retire_complete();
  void preempt_youngest();
  void admit();
  void schedule_decodes();
  void schedule_prompts();
  void append(SequenceId id, Sequence& sequence, int32_t tokens);

  SchedulerLimits limits_;
  std::vector<PagePool> pools_;
  std::vector<int32_t> free_slots_;
  std::map<SequenceId, Sequence> sequences_;
  std::deque<SequenceId> waiting_;   // in order of arrival; preempted ones in front
  std::vector<SequenceId> running_;  // in order of arrival, all before those that wait
  std::vector<ScheduledEntry> step_;
  int64_t arrivals_ = 0;
};

}  // namespace incipit
