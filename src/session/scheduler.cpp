#include "session/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace incipit {

Scheduler::Scheduler(SchedulerLimits limits) : limits_(std::move(limits)) {
  limits_.slots = std::min({limits_.slots, limits_.max_tokens, limits_.max_rows, limits_.max_sequences});
  INCIPIT_ASSERT(limits_.slots > 0 && limits_.max_context > 0 && limits_.prefill_chunk >= 0);
  for (const SchedulerLimits::Group& group : limits_.groups) {
    INCIPIT_ASSERT(group.page_tokens > 0);
    pools_.emplace_back(group.pages);
  }
  for (int32_t slot = limits_.slots; slot-- > 0;) free_slots_.push_back(slot);
}

Scheduler::Sequence& Scheduler::sequence(SequenceId id) {
  const auto found = sequences_.find(id);
  INCIPIT_ASSERT(found != sequences_.end());
  return found->second;
}

int32_t Scheduler::free_pages(int32_t group) const { return pools_.at(static_cast<size_t>(group)).free_pages(); }

std::span<const int32_t> Scheduler::pages(SequenceId id, int32_t group) const {
  return sequences_.at(id).pages.at(static_cast<size_t>(group));
}

int32_t Scheduler::pages_for(int32_t tokens, size_t group) const {
  const int32_t page_tokens = limits_.groups[group].page_tokens;
  return tokens / page_tokens + (tokens % page_tokens != 0);
}

bool Scheduler::add(SequenceId id, int32_t prompt_tokens, int32_t max_tokens) {
  INCIPIT_ASSERT(prompt_tokens > 0 && max_tokens > prompt_tokens && !sequences_.contains(id));
  const int32_t cached = max_tokens - 1;
  if (cached > limits_.max_context) return false;
  for (size_t g = 0; g < pools_.size(); ++g) {
    if (pages_for(cached, g) > pools_[g].total_pages()) return false;
  }
  Sequence sequence;
  sequence.arrival = arrivals_++;
  sequence.known_tokens = prompt_tokens;
  sequence.max_tokens = max_tokens;
  sequence.pages.resize(pools_.size());
  sequences_.emplace(id, std::move(sequence));
  waiting_.push_back(id);
  return true;
}

void Scheduler::remove(SequenceId id) {
  leave(sequence(id));
  std::erase(running_, id);
  std::erase(waiting_, id);
  sequences_.erase(id);
}

/// Gives pages and slot back.
void Scheduler::leave(Sequence& sequence) {
  for (size_t g = 0; g < pools_.size(); ++g) {
    for (const int32_t page : sequence.pages[g]) pools_[g].release(page);
    sequence.pages[g].clear();
  }
  if (sequence.slot >= 0) free_slots_.push_back(std::exchange(sequence.slot, -1));
}

/// Whether the pools can take the sequence to `tokens` and still have `spare` pages each.
bool Scheduler::fits(const Sequence& sequence, int32_t tokens, int32_t spare) const {
  for (size_t g = 0; g < pools_.size(); ++g) {
    const int32_t more = pages_for(tokens, g) - static_cast<int32_t>(sequence.pages[g].size());
    if (more > 0 && more + spare > pools_[g].free_pages()) return false;
  }
  return true;
}

void Scheduler::extend(Sequence& sequence, int32_t tokens) {
  for (size_t g = 0; g < pools_.size(); ++g) {
    while (static_cast<int32_t>(sequence.pages[g].size()) < pages_for(tokens, g)) {
      sequence.pages[g].push_back(pools_[g].take());
    }
  }
}

/// A sequence whose last sample has been scheduled needs nothing more; it stays known until remove().
void Scheduler::retire_complete() {
  std::erase_if(running_, [&](SequenceId id) {
    Sequence& one = sequence(id);
    if (one.complete()) leave(one);
    return one.complete();
  });
}

void Scheduler::preempt_youngest() {
  const SequenceId id = running_.back();
  running_.pop_back();
  Sequence& victim = sequence(id);
  leave(victim);
  victim.done_tokens = 0;
  victim.decodes = false;
  waiting_.push_front(id);
}

/// Takes waiting sequences in, in order, while slots and pages last. Beside others, a newcomer leaves a page for each
/// of them: one that would be preempted again at once is better left waiting.
void Scheduler::admit() {
  while (!waiting_.empty() && !free_slots_.empty()) {
    Sequence& next = sequence(waiting_.front());
    if (!fits(next, next.known_tokens, running())) break;
    extend(next, next.known_tokens);
    next.slot = free_slots_.back();
    free_slots_.pop_back();
    next.starts = true;
    INCIPIT_ASSERT(running_.empty() || sequence(running_.back()).arrival < next.arrival);
    running_.push_back(waiting_.front());
    waiting_.pop_front();
  }
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
  sequence.done_tokens += tokens;
  if (entry.samples) {
    ++sequence.known_tokens;
    sequence.decodes = true;
  }
}

void Scheduler::schedule_decodes() {
  // Victims are the last of running_, so those that already have their entry are safe.
  for (size_t i = 0; i < running_.size(); ++i) {
    const SequenceId id = running_[i];
    Sequence& one = sequence(id);
    if (!one.decodes) continue;
    const int32_t tokens = one.done_tokens + 1;
    while (i < running_.size() && !fits(one, tokens, 0)) preempt_youngest();
    if (i >= running_.size()) break;  // it was itself the youngest
    extend(one, tokens);
    append(id, one, 1);
  }
}

void Scheduler::schedule_prompts() {
  int32_t budget = limits_.max_tokens - static_cast<int32_t>(step_.size());
  if (!step_.empty() && limits_.prefill_chunk > 0) budget = std::min(budget, limits_.prefill_chunk);
  for (size_t i = 0; i < running_.size() && budget > 0; ++i) {
    Sequence& one = sequence(running_[i]);
    if (one.decodes) continue;
    const int32_t tokens = std::min(budget, one.known_tokens - one.done_tokens);
    append(running_[i], one, tokens);
    budget -= tokens;
  }
}

std::span<const ScheduledEntry> Scheduler::schedule() {
  step_.clear();
  retire_complete();
  schedule_decodes();
  admit();
  schedule_prompts();
  return step_;
}

}  // namespace incipit
