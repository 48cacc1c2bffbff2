// Decides what the next step runs. Pure integers: no tensors, no clock, no text; testable and fuzzable without a model.
// Time enters as numbers: what steps take (StepCosts), what they took (ran), when a request came (SequenceTerms).
//
// Continuous batching with chunked prefill: every running sequence that is decoding gets its one token in every step;
// what is left of the step goes to prompts, in chunks. While streams run, a step takes no longer than max_gap, or than
// these and the least chunk. Where the streams alone would take more than a third of that, prompts have twice their
// time (at most max_gap): a prompt is predicted to take one and a half times its time alone, which leaves room for the
// step that it waits for and for what is not foreseen until twice that time, and the step takes no longer than max_gap
// and the streams. That is the longest a stream waits. Without streams a step takes twice as long, and eight times
// where there is one prompt alone, so that newcomers need not wait long for their turn. A step with prompts takes one
// of them further by the least chunk or more: that bounds a first token's wait. The last seventeenth of the token
// budget is for prompts that end within the step: a step reads all weights, so that few tokens should not get one of
// their own.
//
// Prompts are in order of rank: the latest moment at which one could start and meet its deadline (shortest slack
// first). A rank never changes, and those of newcomers grow with the time, so that nobody waits for ever. Without a
// deadline of its own a prompt has ten times what it takes alone, and once more for each prompt that waits as it comes:
// where not all can be in time, all are late in proportion to their length. A level of priority is worth ten seconds of
// waiting. Of several tenants that want the engine, those come first that have had least of its time, for their
// weights.
//
// A prompt that waits is admitted when the step has room for its first chunk, and takes the pages of the whole prompt
// at once (of a group with a window, those that one step sees; the others follow as pages fall behind the window and
// are given back). Where it finds no slot or page, those behind it wait too, and running sequences of lower priority
// that rank behind it are preempted. When a decoding sequence finds no page, the running one that ranks last is. What
// is preempted gives its pages back and its tokens are prefilled again later, so its text does not change.
//
// The batch class (priority 100 and more) takes only what is left: its prompts come behind all others, its streams miss
// steps that would take too long with them, and whoever else needs its slots or pages gets them.
//
// Full pages, and the last page of a sequence that ends, go into a prefix cache. A sequence whose text begins with
// tokens that are there starts behind them; its last token is always computed. Pages that only the cache still keeps
// are as good as free ones: the one that nobody has used for longest is taken first.
//
// Steps run in the order in which they were scheduled, on a device whose queue keeps that order. Hence pages and slots
// may go to another sequence as soon as no step yet to be scheduled needs them, even while earlier steps are in flight.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "session/page_pool.h"
#include "session/page_table.h"
#include "session/prefix_cache.h"
#include "session/prefix_explanation.h"
#include "session/step_costs.h"
#include "session/step_turns.h"
#include "session/tenants.h"

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

struct SchedulerPolicy {
  int64_t max_gap_us = 0;  // between a stream's tokens; 0: no bound
  bool in_order = false;   // of arrival: no deadlines, priorities or tenants
};

/// When a sequence should run. Times are of the caller's clock.
struct SequenceTerms {
  static constexpr int32_t batch_priority = 100;  // from here on: the batch class

  uint64_t salt = 0;  // sequences of different salts share no pages
  int64_t arrival_us = 0;
  int64_t first_token_us = 0;  // wanted so long after the arrival; 0: no deadline of its own
  int32_t priority = 0;        // lower first
  uint64_t tenant = 0;
  int32_t weight = 1;     // the tenant's
  bool explains = false;  // Scheduler::explanation() is wanted

  bool is_batch() const { return priority >= batch_priority; }
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
  explicit Scheduler(SchedulerLimits limits, const SchedulerPolicy& policy = {}, StepCosts costs = {});
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Queues a sequence that begins with `prompt` and may grow to `max_tokens` in all: its last sample is never fed
  /// back, so max_context + 1 is possible. False when it can never run (longer than the context or than all pages). Ids
  /// are not used twice.
  bool add(SequenceId id, std::span<const int32_t> prompt, int32_t max_tokens, const SequenceTerms& terms = {});
  /// The oldest sample of the sequence that was not told yet. One that was preempted runs on when all are known.
  void learn(SequenceId id, int32_t token);
  /// What the scheduled steps have done of a running sequence may be found by others, its last page too.
  void offer(SequenceId id);
  /// Ends a sequence, waiting or running; its pages and slot are free at once for steps not yet scheduled.
  void remove(SequenceId id);
  /// The next step; empty when nothing can run. The entries' tokens count as done from now on: sampled sequences are
  /// one token longer. Valid until the next call, as are the page tables of its sequences that were not removed.
  /// `longest_us`: what others who share the device leave; like max_gap, but for the least chunk.
  std::span<const ScheduledEntry> schedule(int64_t longest_us = INT64_MAX);
  /// The least that the next step takes.
  StepWish least_step() const;
  /// The oldest step that has not been told of took so long: predictions and the tenants' counters learn of it. Steps
  /// may be told of up to eight later.
  void ran(int64_t us);
  /// After which time a prompt that came now would have its first token, as far as can be known: behind what ranks
  /// before it, and `pending_tokens` of prompts that have not been added yet. 0 where nothing is known of steps.
  int64_t predict_first_token(std::span<const int32_t> prompt, const SequenceTerms& terms,
                              int64_t pending_tokens = 0) const;
  /// What is to be copied before the last schedule()'s step, in this order.
  std::span<const PageCopy> copies() const { return copies_; }
  /// Page table of a running sequence in a group: entry i holds positions [i · page_tokens, …); −1: behind the window.
  std::span<const int32_t> pages(SequenceId id, int32_t group) const;

  /// Of a running sequence whose terms want it: why it started where it first did.
  const std::optional<PrefixExplanation>& explanation(SequenceId id) const { return sequences_.at(id).explanation; }

  /// PrefixCache::latest; none without a cache.
  std::vector<PrefixCache::Text> latest_texts(size_t most_tokens) const {
    return cache_ ? cache_->latest(most_tokens) : std::vector<PrefixCache::Text>();
  }
  /// Nobody finds what no sequence holds any more.
  void drop_prefixes() {
    if (cache_) cache_->clear();
  }

  int32_t waiting() const { return waiting_count_; }
  int32_t running() const { return static_cast<int32_t>(running_.size()); }
  int64_t preemptions() const { return preemptions_; }
  const SchedulerLimits& limits() const { return limits_; }
  /// Pages that no sequence holds.
  int32_t free_pages(int32_t group) const;
  const PagePool& pool(int32_t group) const { return pools_.at(static_cast<size_t>(group)); }
  const StepCosts& costs() const { return costs_; }
  void set_costs(StepCosts costs) { costs_ = std::move(costs); }
  /// What the last schedule()'s step holds.
  const StepWork& work() const { return work_; }
  const Tenants& tenants() const { return tenants_; }
  /// What a sequence's rank is made of.
  int64_t latest_start(SequenceId id) const { return sequences_.at(id).rank.latest_start; }

  static constexpr int32_t least_chunk = 16;  // tokens that the first prompt of a step gets, whatever they take

 private:
  /// Who comes first. Never changes, so that nobody is overtaken for ever.
  struct Rank {
    bool batch = false;
    int64_t latest_start = 0;
    int64_t arrival = 0;  // a number
    auto operator<=>(const Rank&) const = default;
  };
  struct Sequence {
    SequenceTerms terms;
    Rank rank;
    int64_t alone_us = 0;  // what is predicted for the prompt, alone
    int32_t slot = -1;
    int32_t prompt_tokens = 0;
    int32_t known_tokens = 0;  // prompt and samples scheduled so far
    int32_t done_tokens = 0;   // in the cache once the scheduled steps have run
    int32_t found_tokens = 0;  // in the prefix cache when it came
    int32_t max_tokens = 0;
    int64_t considered = 0;  // the last step in which it got a share, or none
    bool in_line = false;    // in waiting_
    bool starts = false;
    bool decodes = false;         // all but the newest sample is done
    std::vector<int32_t> tokens;  // prompt and samples told so far
    std::vector<PageTable> pages;
    PrefixCache::Node tail = PrefixCache::none;  // of the prefix cache: its full pages so far
    int32_t tail_pages = 0;
    std::optional<PrefixExplanation> explanation;
    bool complete() const { return known_tokens >= max_tokens; }
    int32_t told_tokens() const { return static_cast<int32_t>(tokens.size()); }
    /// Tokens that need not be computed (any more), as far as is known, and those that are left before its next sample.
    int32_t context() const { return in_line ? found_tokens : done_tokens; }
    int32_t left_tokens() const { return known_tokens - context(); }
  };
  using Line = std::map<Rank, SequenceId>;
  /// Whose step it was, until it is known how long it took.
  struct StepRecord {
    struct Share {
      uint64_t tenant = 0;
      int32_t tokens = 0;
      bool decodes = false;
    };
    StepWork work;
    std::vector<Share> shares;
  };

  Sequence& sequence(SequenceId id);
  const Sequence& sequence(SequenceId id) const { return sequences_.at(id); }
  // ---- pages: scheduler_pages.cpp
  bool fits(const Sequence& sequence, int32_t tokens, int32_t spare) const;
  int32_t wanted_pages(const Sequence& sequence, size_t group, int32_t tokens) const;
  int32_t takeable(size_t group) const { return pools_[group].free_pages() + pools_[group].idle_pages(); }
  bool start(Sequence& sequence, int32_t spare);
  void start_further(Sequence& sequence);
  PrefixCache::Match find_prefix(uint64_t salt, std::span<const int32_t> tokens) const;
  PrefixCache::Match find_prefix(const Sequence& sequence) const;
  void share(Sequence& sequence, const PrefixCache::Match& match);
  void follow(Sequence& sequence, PrefixCache::Node node);
  void extend(Sequence& sequence, int32_t tokens);
  void extend_behind(Sequence& sequence, const PrefixCache::Match& match);
  void explain(Sequence& sequence, int32_t reused);
  void remember_pages(Sequence& sequence);
  void remember_last_page(Sequence& sequence);
  void give_pages_back(Sequence& sequence);
  void settle();
  // ---- who is next: scheduler_order.cpp
  Rank rank_of(const SequenceTerms& terms, int64_t alone_us, int64_t arrival) const;
  void line_up(SequenceId id, Sequence& sequence);
  void leave_line(Sequence& sequence);
  template <typename Visit>
  void each_prompt(bool batch, bool with_waiting, Visit visit) const;
  SequenceId next_prompt(bool batch, bool with_waiting) const;
  bool anybody_waits() const;
  int32_t affordable_chunk(const StepWork& beside, int64_t bound, int32_t context, int32_t most) const;
  int64_t work_before(const Rank& rank, const SequenceTerms& terms, int64_t own_us) const;
  int64_t wait_for_slot(const Rank& rank, int64_t step_us) const;
  // ---- steps
  void leave(Sequence& sequence);
  void retire_complete();
  void note_length(const Sequence& sequence);
  void preempt(SequenceId id);
  void make_room();
  bool admit(SequenceId id);
  void schedule_decodes(bool batch);
  void schedule_prompts(bool batch);
  int32_t chunk_of(const Sequence& sequence) const;
  int64_t step_limit(const StepWork& streams, int64_t prompts) const;
  bool take_pages(SequenceId id, int32_t tokens);
  void append(SequenceId id, Sequence& sequence, int32_t tokens);

  SchedulerLimits limits_;
  SchedulerPolicy policy_;
  StepCosts costs_;
  std::vector<PagePool> pools_;
  std::optional<PrefixCache> cache_;
  std::vector<int32_t> free_slots_;
  std::map<SequenceId, Sequence> sequences_;
  std::map<uint64_t, Line> waiting_;  // by tenant, none empty
  int32_t waiting_count_ = 0;
  std::vector<SequenceId> running_;  // in order of rank
  Tenants tenants_;
  std::vector<ScheduledEntry> step_;
  std::vector<PageCopy> copies_;
  StepWork work_;                    // of step_
  int64_t bound_ = INT64_MAX;        // of step_
  bool shares_device_ = false;       // step_ does
  int32_t room_ = 0, end_room_ = 0;  // prompt tokens that step_ still takes, of prompts that end and of others
  std::deque<StepRecord> untold_;    // steps scheduled, oldest first
  int64_t steps_ = 0, arrivals_ = 0, preemptions_ = 0;
  int64_t mean_new_tokens_ = 64, lengths_ = 0;  // of sequences that have ended; how many were seen, up to a bound
};

}  // namespace incipit
