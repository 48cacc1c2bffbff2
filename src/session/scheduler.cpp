#include "session/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "kernels/kv_pages.h"

namespace incipit {

Scheduler::Scheduler(SchedulerLimits limits, const SchedulerPolicy& policy, StepCosts costs)
    : limits_(std::move(limits)), policy_(policy), costs_(std::move(costs)) {
  limits_.slots = std::min({limits_.slots, limits_.max_tokens, limits_.max_rows, limits_.max_sequences});
  INCIPIT_ASSERT(limits_.slots > 0 && limits_.max_context > 0 && limits_.prefill_chunk >= 0);
  std::vector<int32_t> windows;
  for (const SchedulerLimits::Group& group : limits_.groups) {
    INCIPIT_ASSERT(group.page_tokens > 0 && group.window >= 0);
    pools_.emplace_back(group.pages);
    windows.push_back(group.window);
    limits_.prefix_cache &= group.page_tokens == limits_.groups[0].page_tokens;
  }
  limits_.prefix_cache &= !limits_.groups.empty();
  if (limits_.prefix_cache) cache_.emplace(limits_.groups[0].page_tokens, std::move(windows), pools_);
  for (int32_t slot = limits_.slots; slot-- > 0;) free_slots_.push_back(slot);
}

Scheduler::Sequence& Scheduler::sequence(SequenceId id) {
  const auto found = sequences_.find(id);
  INCIPIT_ASSERT(found != sequences_.end());
  return found->second;
}

int32_t Scheduler::free_pages(int32_t group) const { return takeable(static_cast<size_t>(group)); }

std::span<const int32_t> Scheduler::pages(SequenceId id, int32_t group) const {
  return sequences_.at(id).pages.at(static_cast<size_t>(group)).pages();
}

bool Scheduler::add(SequenceId id, std::span<const int32_t> prompt, int32_t max_tokens, const SequenceTerms& terms) {
  INCIPIT_ASSERT(!prompt.empty() && max_tokens > static_cast<int32_t>(prompt.size()) && !sequences_.contains(id));
  const int32_t cached = max_tokens - 1;
  if (cached > limits_.max_context) return false;
  Sequence sequence;
  for (size_t g = 0; g < pools_.size(); ++g) {
    const SchedulerLimits::Group& group = limits_.groups[g];
    if (most_kv_pages(group.page_tokens, group.window, cached, limits_.max_tokens) > pools_[g].total_pages())
      return false;
    sequence.pages.emplace_back(group.page_tokens, group.window);
  }
  sequence.terms = terms;
  if (policy_.in_order) sequence.terms.priority = 0, sequence.terms.tenant = 0;
  sequence.prompt_tokens = sequence.known_tokens = static_cast<int32_t>(prompt.size());
  sequence.max_tokens = max_tokens;
  sequence.tokens.assign(prompt.begin(), prompt.end());
  sequence.found_tokens = find_prefix(sequence).tokens;
  sequence.alone_us = costs_.predict_prompt(sequence.known_tokens - sequence.found_tokens, sequence.found_tokens);
  sequence.rank = rank_of(sequence.terms, sequence.alone_us, arrivals_++);
  tenants_.enter(sequence.terms.tenant, sequence.terms.weight);
  line_up(id, sequences_.emplace(id, std::move(sequence)).first->second);
  return true;
}

void Scheduler::learn(SequenceId id, int32_t token) {
  Sequence& one = sequence(id);
  INCIPIT_ASSERT(one.told_tokens() < one.known_tokens);
  one.tokens.push_back(token);
}

void Scheduler::offer(SequenceId id) {
  Sequence& one = sequence(id);
  remember_pages(one);
  remember_last_page(one);
}

void Scheduler::remove(SequenceId id) {
  Sequence& one = sequence(id);
  note_length(one);
  leave(one);
  std::erase(running_, id);
  leave_line(one);
  tenants_.leave(one.terms.tenant);
  sequences_.erase(id);
}

/// Gives pages and slot back.
void Scheduler::leave(Sequence& sequence) {
  remember_pages(sequence);
  remember_last_page(sequence);
  give_pages_back(sequence);
  if (sequence.slot >= 0) free_slots_.push_back(std::exchange(sequence.slot, -1));
}

void Scheduler::note_length(const Sequence& sequence) {
  constexpr int64_t slowness = 16;
  const int64_t length = sequence.known_tokens - sequence.prompt_tokens;
  if (length == 0) return;
  lengths_ = std::min(lengths_ + 1, slowness);
  mean_new_tokens_ += (length - mean_new_tokens_) / lengths_;
}

/// A sequence whose last sample has been scheduled needs nothing more; it stays known until remove().
void Scheduler::retire_complete() {
  std::erase_if(running_, [&](SequenceId id) {
    Sequence& one = sequence(id);
    if (!one.complete()) return false;
    leave(one);
    return true;
  });
}

void Scheduler::preempt(SequenceId id) {
  std::erase(running_, id);
  Sequence& victim = sequence(id);
  leave(victim);
  ++preemptions_;
  victim.decodes = false;
  line_up(id, victim);
}

/// Preempts running sequences of lower priority that rank behind the next prompt, where it lacks a slot or pages.
void Scheduler::make_room() {
  if (policy_.in_order || waiting_count_ == 0) return;
  const SequenceId id = next_prompt(false, true);
  if (id < 0 || !sequence(id).in_line) return;
  Sequence& next = sequence(id);
  while (!running_.empty()) {
    const Sequence& last = sequence(running_.back());
    if (last.terms.priority <= next.terms.priority || last.rank < next.rank) return;
    if (!free_slots_.empty() && start(next, running())) {
      give_pages_back(next);
      copies_.clear();
      return;
    }
    preempt(running_.back());
  }
}

/// Takes a waiting sequence in, if there are a slot and pages. Beside others, a newcomer leaves a page for each of
/// them: one that would be preempted again at once is better left waiting.
bool Scheduler::admit(SequenceId id) {
  Sequence& next = sequence(id);
  // One that was preempted is fed its samples, the newest of which may still be on its way.
  if (free_slots_.empty() || next.told_tokens() < next.known_tokens || !start(next, running())) return false;
  next.slot = free_slots_.back();
  free_slots_.pop_back();
  next.starts = true;
  leave_line(next);
  const auto place = std::ranges::upper_bound(running_, next.rank, {},
                                              [&](SequenceId other) -> const Rank& { return sequence(other).rank; });
  running_.insert(place, id);
  return true;
}

void Scheduler::append(SequenceId id, Sequence& sequence, int32_t tokens) {
  ScheduledEntry entry;
  entry.id = id;
  entry.slot = sequence.slot;
  entry.first_position = sequence.done_tokens;
  entry.tokens = tokens;
  entry.from_last_sample = sequence.decodes;
  entry.samples = sequence.done_tokens + tokens == sequence.known_tokens;
  entry.starts = std::exchange(sequence.starts, false);
  step_.push_back(entry);
  untold_.back().shares.push_back({sequence.terms.tenant, tokens, sequence.decodes});
  if (sequence.decodes) {
    work_.add_decode(sequence.done_tokens);
  } else {
    work_.add_chunk(sequence.done_tokens, tokens);
  }
  sequence.considered = steps_;
  sequence.done_tokens += tokens;
  if (entry.samples) {
    ++sequence.known_tokens;
    sequence.decodes = true;
  }
}

/// Victims are the last of running_, so those that already have their entry are safe.
void Scheduler::schedule_decodes(bool batch) {
  for (size_t i = 0; i < running_.size(); ++i) {
    const SequenceId id = running_[i];
    Sequence& one = sequence(id);
    if (!one.decodes || one.considered == steps_ || one.terms.is_batch() != batch) continue;
    if (batch && !step_.empty()) {
      StepWork more = work_;
      more.add_decode(one.done_tokens);
      if (more.tokens() > limits_.max_tokens || costs_.predict(more) > bound_) return;
      if (limits_.prefill_chunk > 0 && more.prompt_tokens > limits_.prefill_chunk) return;
    }
    const int32_t tokens = one.done_tokens + 1;
    while (i < running_.size() && !fits(one, tokens, 0)) preempt(running_.back());
    if (i >= running_.size()) return;  // it was itself the last
    extend(one, tokens);
    append(id, one, 1);
  }
}

/// How long a step may take in which such streams decode, when so many prompts want to be in it.
int64_t Scheduler::step_limit(const StepWork& streams, int64_t prompts) const {
  constexpr int64_t without_streams = 2, alone = 8;
  if (policy_.max_gap_us == 0) return INT64_MAX;
  const int64_t gap = policy_.max_gap_us;
  if (streams.decodes == 0) return gap * (prompts > 1 ? without_streams : alone);
  const int64_t own = costs_.predict(streams);
  return std::max(gap, own + std::min(gap, 2 * own));
}

/// Tokens that a prompt gets of the step; 0: it has to wait for the next.
int32_t Scheduler::chunk_of(const Sequence& sequence) const {
  const int32_t left = sequence.left_tokens();
  const int32_t most = left <= room_ ? left : std::min(room_, end_room_);
  if (most <= 0 || bound_ == INT64_MAX) return std::max(most, 0);
  const int32_t chunk = affordable_chunk(work_, bound_, sequence.context(), most);
  const int32_t least = std::min(most, least_chunk);
  if (chunk >= least) return chunk;
  const bool first = sequence.terms.is_batch() ? step_.empty() : work_.prompts == 0;
  return first ? least : 0;
}

/// The pages that a running prompt needs for its chunk. Pages behind a window come back for those ahead, unless others
/// share them: then somebody is preempted, perhaps this one. False: there are none in this step.
bool Scheduler::take_pages(SequenceId id, int32_t tokens) {
  Sequence& one = sequence(id);
  while (!fits(one, one.done_tokens + tokens, 0)) {
    if (!step_.empty()) return false;
    INCIPIT_ASSERT(running_.size() > 1);
    const SequenceId victim = running_.back();
    preempt(victim);
    if (victim == id) return false;
  }
  extend(one, one.done_tokens + tokens);
  return true;
}

void Scheduler::schedule_prompts(bool batch) {
  room_ = std::min(room_, limits_.max_tokens - work_.tokens());
  if (!step_.empty() && limits_.prefill_chunk > 0) {
    room_ = std::min(room_, limits_.prefill_chunk - work_.prompt_tokens);
  }
  bool admits = !batch || !anybody_waits();
  while (room_ > 0) {
    const SequenceId id = next_prompt(batch, admits);
    if (id < 0) return;
    Sequence& one = sequence(id);
    const int64_t before = std::exchange(one.considered, steps_);
    if (chunk_of(one) == 0) continue;
    const bool waited = one.in_line;
    if (waited && !admit(id)) {
      // Nobody overtakes one that waits for a slot or for pages.
      one.considered = before;
      admits = false;
      continue;
    }
    if (one.starts) start_further(one);
    const int32_t tokens = chunk_of(one);
    if (tokens == 0) {
      if (waited) preempt(id);  // less of it was found than when it came, and there is no room for the rest
      continue;
    }
    const size_t others = running_.size();
    if (!take_pages(id, tokens)) {
      if (!step_.empty()) return;
      admits = false;
      continue;
    }
    admits = admits && others == running_.size();
    append(id, one, tokens);
    room_ -= tokens;
    end_room_ -= tokens;
  }
}

std::span<const ScheduledEntry> Scheduler::schedule(int64_t longest_us) {
  constexpr size_t most_untold = 8;
  ++steps_;
  step_.clear();
  copies_.clear();
  work_ = {};
  untold_.emplace_back();
  retire_complete();
  settle();
  make_room();
  schedule_decodes(false);
  const auto begun = std::ranges::count_if(running_, [&](SequenceId id) { return !sequence(id).decodes; });
  bound_ = std::min(step_limit(work_, waiting_count_ + begun), longest_us);
  shares_device_ = longest_us != INT64_MAX;
  room_ = limits_.max_tokens;
  end_room_ = limits_.max_tokens - limits_.max_tokens / 17;
  schedule_prompts(false);
  schedule_decodes(true);
  schedule_prompts(true);
  untold_.back().work = work_;
  if (step_.empty()) untold_.pop_back();
  if (untold_.size() > most_untold) untold_.pop_front();
  return step_;
}

void Scheduler::ran(int64_t us) {
  INCIPIT_ASSERT(us >= 0);
  if (untold_.empty()) return;
  const StepRecord step = std::move(untold_.front());
  untold_.pop_front();
  StepWork alone;
  alone.decodes = step.work.decodes;
  alone.decode_context = step.work.decode_context;
  const int64_t predicted = costs_.predict(step.work);
  int64_t for_decodes = predicted > 0 ? us * std::min(predicted, costs_.predict(alone)) / predicted
                                      : us * alone.decodes / step.work.tokens();
  if (step.work.prompt_tokens == 0) for_decodes = us;
  for (const StepRecord::Share& share : step.shares) {
    tenants_.charge(share.tenant, share.decodes ? for_decodes / step.work.decodes
                                                : (us - for_decodes) * share.tokens / step.work.prompt_tokens);
  }
  costs_.correct(step.work, us);
}

}  // namespace incipit
