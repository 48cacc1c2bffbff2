#include "session/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "kernels/kv_pages.h"

namespace incipit {

Scheduler::Scheduler(SchedulerLimits limits) : limits_(std::move(limits)) {
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

bool Scheduler::add(SequenceId id, std::span<const int32_t> prompt, int32_t max_tokens, uint64_t salt) {
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
  sequence.arrival = arrivals_++;
  sequence.salt = salt;
  sequence.known_tokens = static_cast<int32_t>(prompt.size());
  sequence.max_tokens = max_tokens;
  sequence.tokens.assign(prompt.begin(), prompt.end());
  sequences_.emplace(id, std::move(sequence));
  waiting_.push_back(id);
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
  leave(sequence(id));
  std::erase(running_, id);
  std::erase(waiting_, id);
  sequences_.erase(id);
}

/// Gives pages and slot back.
void Scheduler::leave(Sequence& sequence) {
  remember_pages(sequence);
  remember_last_page(sequence);
  give_pages_back(sequence);
  if (sequence.slot >= 0) free_slots_.push_back(std::exchange(sequence.slot, -1));
}

void Scheduler::give_pages_back(Sequence& sequence) {
  for (size_t g = 0; g < pools_.size(); ++g) {
    sequence.pages[g].clear([&](int32_t page) { pools_[g].release(page); });
  }
  follow(sequence, PrefixCache::none);
  sequence.tail_pages = 0;
  sequence.done_tokens = 0;
}

/// Entries that the sequence's table must have for `tokens` tokens: behind a window no more than the next step fills.
int32_t Scheduler::wanted_pages(const Sequence& sequence, size_t group, int32_t tokens) const {
  const PageTable& table = sequence.pages[group];
  return table.pages_for(table.has_window() ? std::min(tokens, sequence.done_tokens + limits_.max_tokens) : tokens);
}

/// Whether the pools can take the sequence to `tokens` and still have `spare` pages each.
bool Scheduler::fits(const Sequence& sequence, int32_t tokens, int32_t spare) const {
  for (size_t g = 0; g < pools_.size(); ++g) {
    const int32_t more = wanted_pages(sequence, g, tokens) - sequence.pages[g].size();
    if (more > 0 && more + spare > takeable(g)) return false;
  }
  return true;
}

void Scheduler::extend(Sequence& sequence, int32_t tokens) {
  for (size_t g = 0; g < pools_.size(); ++g) {
    while (sequence.pages[g].size() < wanted_pages(sequence, g, tokens)) {
      int32_t page = pools_[g].take();
      if (page < 0) {
        const bool evicted = cache_ && cache_->evict(g);
        INCIPIT_ASSERT(evicted);
        page = pools_[g].take();
      }
      sequence.pages[g].append(page);
    }
  }
}

/// The sequence's full pages end with the node.
void Scheduler::follow(Sequence& sequence, PrefixCache::Node node) {
  if (node != PrefixCache::none) cache_->enter(node);
  if (sequence.tail != PrefixCache::none) cache_->leave(sequence.tail);
  sequence.tail = node;
}

/// All but the last token may come from the cache.
PrefixCache::Match Scheduler::find_prefix(const Sequence& sequence) const {
  if (!cache_) return {};
  return cache_->find(sequence.salt, std::span(sequence.tokens).first(static_cast<size_t>(sequence.known_tokens - 1)));
}

/// Puts the match's full pages into the sequence's tables, in place of its own, which nothing was written to yet.
void Scheduler::share(Sequence& sequence, const PrefixCache::Match& match) {
  sequence.done_tokens = match.tokens;
  if (!cache_) return;
  const auto count = static_cast<int32_t>(match.path.size());
  for (size_t g = 0; g < pools_.size(); ++g) {
    PageTable& table = sequence.pages[g];
    for (int32_t i = 0; i < count; ++i) {
      const bool seen = i >= table.first_seen(match.tokens);
      const int32_t page = seen ? cache_->page(match.path[static_cast<size_t>(i)], g) : -1;
      const int32_t own = i < table.size() ? table.page(i) : -1;
      if (page >= 0) pools_[g].share(page);
      i < table.size() ? table.replace(i, page) : table.append(page);
      if (own >= 0) pools_[g].release(own);
    }
  }
  follow(sequence, match.path.empty() ? cache_->root(sequence.salt) : match.path.back());
  sequence.tail_pages = count;
}

/// Takes the pages behind a shared match, and copies the one that is partly of use.
void Scheduler::extend_behind(Sequence& sequence, const PrefixCache::Match& match) {
  std::vector<int32_t> sources;  // taking pages may drop them from the cache; their bytes stay until the step
  for (size_t g = 0; match.partial != PrefixCache::none && g < pools_.size(); ++g) {
    sources.push_back(cache_->page(match.partial, g));
  }
  extend(sequence, sequence.known_tokens);
  for (size_t g = 0; g < sources.size(); ++g) {
    const int32_t target = sequence.pages[g].page(static_cast<int32_t>(match.path.size()));
    if (target != sources[g]) copies_.push_back({static_cast<int32_t>(g), sources[g], target});
  }
}

/// Takes the pages that a sequence starts with, behind what the cache knows of it. False, with nothing taken, when they
/// are not there.
bool Scheduler::start(Sequence& sequence, int32_t spare) {
  const PrefixCache::Match match = find_prefix(sequence);
  share(sequence, match);
  if (!fits(sequence, sequence.known_tokens, spare)) {
    give_pages_back(sequence);
    return false;
  }
  extend_behind(sequence, match);
  return true;
}

/// Others may have computed the same beginning while this sequence waited for its first tokens.
void Scheduler::start_further(Sequence& sequence) {
  const PrefixCache::Match match = find_prefix(sequence);
  if (match.tokens <= sequence.done_tokens) return;
  const auto shared = static_cast<int32_t>(match.path.size());
  for (size_t g = 0; g < pools_.size(); ++g) {
    const PageTable& table = sequence.pages[g];
    const int32_t end = std::min(sequence.known_tokens, match.tokens + limits_.max_tokens);
    // Pages that are shared now may be among those that could be taken.
    if (table.has_window() && table.pages_for(end) > table.size() &&
        table.pages_for(end) - table.first_seen(match.tokens) > takeable(g)) {
      return;
    }
  }
  INCIPIT_ASSERT(shared >= sequence.tail_pages);
  share(sequence, match);
  extend_behind(sequence, match);
}

/// Puts the pages that are full, and whose tokens are known, into the cache. Where it has the same page already, that
/// one takes the place of the sequence's own.
void Scheduler::remember_pages(Sequence& sequence) {
  if (!cache_ || sequence.tail == PrefixCache::none) return;
  const int32_t page_tokens = limits_.groups[0].page_tokens;
  const int32_t known = std::min(sequence.done_tokens, sequence.told_tokens());
  std::vector<int32_t> pages(pools_.size());
  for (; (sequence.tail_pages + 1) * page_tokens <= known; ++sequence.tail_pages) {
    const int32_t index = sequence.tail_pages;
    const auto tokens =
        std::span(sequence.tokens).subspan(static_cast<size_t>(index * page_tokens), static_cast<size_t>(page_tokens));
    for (size_t g = 0; g < pools_.size(); ++g) pages[g] = sequence.pages[g].page(index);
    const PrefixCache::Node node = cache_->insert(sequence.tail, tokens, pages);
    for (size_t g = 0; g < pools_.size(); ++g) {
      const int32_t kept = cache_->page(node, g);
      if (pages[g] < 0 || kept < 0 || kept == pages[g]) continue;
      pools_[g].share(kept);
      sequence.pages[g].replace(index, kept);
      pools_[g].release(pages[g]);
    }
    follow(sequence, node);
  }
}

/// The page that is not full: nobody writes to it any more but steps that are scheduled, behind what is remembered.
void Scheduler::remember_last_page(Sequence& sequence) {
  if (!cache_ || sequence.tail == PrefixCache::none) return;
  const int32_t first = sequence.tail_pages * limits_.groups[0].page_tokens;
  const int32_t count = std::min(sequence.done_tokens, sequence.told_tokens()) - first;
  if (count <= 0) return;
  std::vector<int32_t> pages;
  for (const PageTable& table : sequence.pages) pages.push_back(table.page(sequence.tail_pages));
  const PrefixCache::Node node = cache_->insert(
      sequence.tail, std::span(sequence.tokens).subspan(static_cast<size_t>(first), static_cast<size_t>(count)), pages);
  if (node == PrefixCache::none) return;
  cache_->enter(node);  // and go when it was left without a page
  cache_->leave(node);
}

/// What the steps scheduled so far have left: full pages to remember, pages behind windows to give back.
void Scheduler::settle() {
  for (const SequenceId id : running_) {
    Sequence& one = sequence(id);
    remember_pages(one);
    for (size_t g = 0; g < pools_.size(); ++g) {
      one.pages[g].leave_behind(one.done_tokens, [&](int32_t page) { pools_[g].release(page); });
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
  victim.decodes = false;
  waiting_.push_front(id);
}

/// Takes waiting sequences in, in order, while slots and pages last. Beside others, a newcomer leaves a page for each
/// of them: one that would be preempted again at once is better left waiting.
void Scheduler::admit() {
  while (!waiting_.empty() && !free_slots_.empty()) {
    Sequence& next = sequence(waiting_.front());
    // One that was preempted is fed its samples, the newest of which may still be on its way.
    if (next.told_tokens() < next.known_tokens || !start(next, running())) break;
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
  int32_t room = limits_.max_tokens - static_cast<int32_t>(step_.size());
  if (!step_.empty() && limits_.prefill_chunk > 0) room = std::min(room, limits_.prefill_chunk);
  int32_t chunk = limits_.max_tokens - limits_.max_tokens / 17;
  for (size_t i = 0; i < running_.size() && room > 0; ++i) {
    Sequence& one = sequence(running_[i]);
    if (one.decodes) continue;
    if (one.starts) start_further(one);
    const int32_t left = one.known_tokens - one.done_tokens;
    const int32_t tokens = left <= room ? left : std::min(room, chunk);
    if (tokens <= 0) continue;
    // Pages behind a window come back for those ahead, unless others share them.
    while (!fits(one, one.done_tokens + tokens, 0)) {
      if (!step_.empty()) return;
      INCIPIT_ASSERT(i + 1 < running_.size());
      preempt_youngest();
    }
    extend(one, one.done_tokens + tokens);
    append(running_[i], one, tokens);
    room -= tokens;
    chunk -= tokens;
  }
}

std::span<const ScheduledEntry> Scheduler::schedule() {
  step_.clear();
  copies_.clear();
  retire_complete();
  settle();
  schedule_decodes();
  admit();
  schedule_prompts();
  return step_;
}

}  // namespace incipit
