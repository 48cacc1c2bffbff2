// Decides what the next step runs. Pure integers: no tensors, no clock, no text; testable and fuzzable without a model.
//
// Continuous batching with chunked prefill: every running sequence that is decoding gets its one token in every step;
// what is left of the step's token budget goes to prompts, first come first served, in chunks. The last seventeenth of
// the budget is for prompts that end within the step: a step reads all weights, so that few tokens should not get one
// of their own.
//
// Admission is strictly in order of arrival, and takes the pages of the whole prompt at once (of a group with a window,
// those that one step sees; the others follow as pages fall behind the window and are given back). When a decoding
// sequence finds no page, the youngest sequence is preempted: it gives its pages back and its tokens are prefilled
// again later, so its text does not change.
//
// Full pages, and the last page of a sequence that ends, go into a prefix cache. A sequence whose text begins with
// tokens that are there starts behind them; its last token is always computed. Pages that only the cache still keeps
// are as good as free ones: the one that nobody has used for longest is taken first.
//
// Steps run in the order in which they were scheduled, on a device whose queue keeps that order. Hence pages and slots
// may go to another sequence as soon as no step yet to be scheduled needs them, even while earlier steps are in flight.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "session/page_pool.h"
#include "session/page_table.h"
#include "session/prefix_cache.h"

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
  bool prefix_cache = false;  // of no effect where groups differ in page_tokens
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
  bool starts = false;  // first step since the slot was given: configure it, with all tokens before first_position
};

/// A page to copy before the step runs.
struct PageCopy {
  int32_t group = 0, from = 0, to = 0;
};

class Scheduler {
 public:
  /// Slots beyond what one step can decode together are left unused, so that no running sequence ever waits.
  explicit Scheduler(SchedulerLimits limits);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Queues a sequence that begins with `prompt` and may grow to `max_tokens` in all: its last sample is never fed
  /// back, so max_context + 1 is possible. False when it can never run (longer than the context or than all pages). Ids
  /// are not used twice. Sequences of different salts share no pages.
  bool add(SequenceId id, std::span<const int32_t> prompt, int32_t max_tokens, uint64_t salt = 0);
  /// The oldest sample of the sequence that was not told yet. One that was preempted runs on when all are known.
  void learn(SequenceId id, int32_t token);
  /// What the scheduled steps have done of a running sequence may be found by others, its last page too.
  void offer(SequenceId id);
  /// Ends a sequence, waiting or running; its pages and slot are free at once for steps not yet scheduled.
  void remove(SequenceId id);
  /// The next step; empty when nothing can run. The entries' tokens count as done from now on: sampled sequences are
  /// one token longer. Valid until the next call, as are the page tables of its sequences that were not removed.
  std::span<const ScheduledEntry> schedule();
  /// What is to be copied before the last schedule()'s step, in this order.
  std::span<const PageCopy> copies() const { return copies_; }
  /// Page table of a running sequence in a group: entry i holds positions [i · page_tokens, …); −1: behind the window.
  std::span<const int32_t> pages(SequenceId id, int32_t group) const;

  int32_t waiting() const { return static_cast<int32_t>(waiting_.size()); }
  int32_t running() const { return static_cast<int32_t>(running_.size()); }
  const SchedulerLimits& limits() const { return limits_; }
  /// Pages that no sequence holds.
  int32_t free_pages(int32_t group) const;
  const PagePool& pool(int32_t group) const { return pools_.at(static_cast<size_t>(group)); }

 private:
  struct Sequence {
    int64_t arrival = 0;
    uint64_t salt = 0;
    int32_t slot = -1;
    int32_t known_tokens = 0;  // prompt and samples scheduled so far
    int32_t done_tokens = 0;   // in the cache once the scheduled steps have run
    int32_t max_tokens = 0;
    bool starts = false;
    bool decodes = false;         // all but the newest sample is done
    std::vector<int32_t> tokens;  // prompt and samples told so far
    std::vector<PageTable> pages;
    PrefixCache::Node tail = PrefixCache::none;  // of the prefix cache: its full pages so far
    int32_t tail_pages = 0;
    bool complete() const { return known_tokens >= max_tokens; }
    int32_t told_tokens() const { return static_cast<int32_t>(tokens.size()); }
  };
  Sequence& sequence(SequenceId id);
  bool fits(const Sequence& sequence, int32_t tokens, int32_t spare) const;
  int32_t wanted_pages(const Sequence& sequence, size_t group, int32_t tokens) const;
  int32_t takeable(size_t group) const { return pools_[group].free_pages() + pools_[group].idle_pages(); }
  bool start(Sequence& sequence, int32_t spare);
  void start_further(Sequence& sequence);
  PrefixCache::Match find_prefix(const Sequence& sequence) const;
  void share(Sequence& sequence, const PrefixCache::Match& match);
  void follow(Sequence& sequence, PrefixCache::Node node);
  void extend(Sequence& sequence, int32_t tokens);
  void extend_behind(Sequence& sequence, const PrefixCache::Match& match);
  void remember_pages(Sequence& sequence);
  void remember_last_page(Sequence& sequence);
  void give_pages_back(Sequence& sequence);
  void settle();
  void leave(Sequence& sequence);
  void retire_complete();
  void preempt_youngest();
  void admit();
  void schedule_decodes();
  void schedule_prompts();
  void append(SequenceId id, Sequence& sequence, int32_t tokens);

  SchedulerLimits limits_;
  std::vector<PagePool> pools_;
  std::optional<PrefixCache> cache_;
  std::vector<int32_t> free_slots_;
  std::map<SequenceId, Sequence> sequences_;
  std::deque<SequenceId> waiting_;   // in order of arrival; preempted ones in front
  std::vector<SequenceId> running_;  // in order of arrival, all before those that wait
  std::vector<ScheduledEntry> step_;
  std::vector<PageCopy> copies_;
  int64_t arrivals_ = 0;
};

}  // namespace incipit
