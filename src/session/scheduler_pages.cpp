// The scheduler's pages: taken, shared, remembered, given back.
#include <algorithm>
#include <vector>

#include "base/error.h"
#include "session/scheduler.h"

namespace incipit {

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
PrefixCache::Match Scheduler::find_prefix(uint64_t salt, std::span<const int32_t> tokens) const {
  return cache_ ? cache_->find(salt, tokens.first(tokens.size() - 1)) : PrefixCache::Match();
}

PrefixCache::Match Scheduler::find_prefix(const Sequence& sequence) const {
  return find_prefix(sequence.terms.salt, std::span(sequence.tokens).first(static_cast<size_t>(sequence.known_tokens)));
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
  follow(sequence, match.path.empty() ? cache_->root(sequence.terms.salt) : match.path.back());
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
  if (sequence.terms.explains) explain(sequence, match.tokens);
  share(sequence, match);
  if (!fits(sequence, sequence.known_tokens, spare)) {
    give_pages_back(sequence);
    return false;
  }
  extend_behind(sequence, match);
  return true;
}

/// Of the prompt alone: one that was preempted is not explained again.
void Scheduler::explain(Sequence& sequence, int32_t reused) {
  if (!cache_ || sequence.known_tokens > sequence.prompt_tokens) return;
  const std::span<const int32_t> prompt(sequence.tokens);
  const PrefixCache::Nearest nearest = cache_->nearest(sequence.terms.salt, prompt);
  PrefixExplanation found;
  found.reused = reused;
  found.position = nearest.common;
  found.held = nearest.next;
  found.of_other_salt = nearest.of_other_salt;
  bool runs = false;
  for (const SequenceId id : running_) {
    const Sequence& other = this->sequence(id);
    if (&other == &sequence || other.terms.salt != sequence.terms.salt) continue;
    const auto differing = std::ranges::mismatch(prompt, other.tokens);
    const auto common = static_cast<int32_t>(differing.in1 - prompt.begin());
    if (common <= found.position) continue;
    runs = true;
    found.position = common;
    found.held = differing.in2 == other.tokens.end() ? -1 : *differing.in2;
  }
  const auto tokens = static_cast<int32_t>(prompt.size());
  if (found.position < tokens) found.own = prompt[static_cast<size_t>(found.position)];
  using Reason = PrefixExplanation::Reason;
  if (reused == tokens - 1) {
    found.reason = Reason::last_token;
  } else if (reused < found.position) {
    found.reason = runs ? Reason::page : Reason::evicted;
  } else {
    found.reason = found.held >= 0 ? Reason::differs : Reason::ends;
  }
  sequence.explanation = found;
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
  if (sequence.terms.explains) explain(sequence, match.tokens);
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

}  // namespace incipit
