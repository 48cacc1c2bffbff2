// A simulated device for the scheduler.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "kernels/kv_pages.h"
#include "session/scheduler.h"

namespace incipit {

inline SchedulerLimits small_limits() {
  SchedulerLimits limits;
  limits.max_context = 64;
  limits.slots = 4;
  limits.max_tokens = 16;
  limits.max_rows = 8;
  limits.max_sequences = 4;
  limits.groups = {{4, 0, 64}};
  return limits;
}

inline std::vector<int32_t> count_up(int32_t tokens) {
  std::vector<int32_t> result(static_cast<size_t>(tokens));
  std::iota(result.begin(), result.end(), 0);
  return result;
}

/// Holds every rule of a step, and knows what each sequence must do next. Pages are simulated too: what a step writes
/// to them, and that whoever reads them finds its own tokens.
class Simulator {
 public:
  /// `lag`: steps that run before the samples of one are told.
  explicit Simulator(const SchedulerLimits& limits, int32_t lag = 0)
      : scheduler_(limits), limits_(scheduler_.limits()), lag_(lag) {
    for (const SchedulerLimits::Group& group : limits_.groups) {
      contents_.emplace_back(static_cast<size_t>(group.pages),
                             std::vector<Written>(static_cast<size_t>(group.page_tokens)));
    }
  }

  Scheduler& scheduler() { return scheduler_; }
  bool add(SequenceId id, int32_t prompt, int32_t max) { return add(id, count_up(prompt), max); }
  bool add(SequenceId id, const std::vector<int32_t>& prompt, int32_t max, uint64_t salt = 0) {
    if (!scheduler_.add(id, prompt, max, {.salt = salt})) return false;
    const auto tokens = static_cast<int32_t>(prompt.size());
    sequences_[id] = {tokens, tokens, max, 0, -1, false, salt, prompt};
    return true;
  }
  void remove(SequenceId id) {
    scheduler_.remove(id);
    sequences_.erase(id);
  }
  size_t left() const { return sequences_.size(); }
  int32_t samples(SequenceId id) const { return sequences_.at(id).known - sequences_.at(id).prompt; }
  const std::vector<int32_t>& tokens(SequenceId id) const { return sequences_.at(id).tokens; }
  bool complete(SequenceId id) const { return sequences_.at(id).known == sequences_.at(id).max; }
  std::vector<SequenceId> ids() const {
    std::vector<SequenceId> result;
    for (const auto& [id, sequence] : sequences_) result.push_back(id);
    return result;
  }
  int64_t preemptions() const { return preemptions_; }
  int64_t cached_tokens() const { return cached_tokens_; }

  /// Schedules a step and checks it. Returns the tokens run.
  int32_t step() {
    const auto entries = scheduler_.schedule();
    for (const PageCopy& copy : scheduler_.copies()) {
      auto& pool = contents_[static_cast<size_t>(copy.group)];
      pool[static_cast<size_t>(copy.to)] = pool[static_cast<size_t>(copy.from)];
    }
    written_.assign(limits_.groups.size(), {});
    std::vector<SequenceId> samples;
    int32_t tokens = 0, rows = 0, prompt_tokens = 0;
    std::set<SequenceId> seen;
    std::set<int32_t> slots;
    bool decodes = false;
    for (const ScheduledEntry& entry : entries) {
      EXPECT_TRUE(seen.insert(entry.id).second) << "a sequence twice in a step";
      EXPECT_TRUE(slots.insert(entry.slot).second) << "a slot twice in a step";
      tokens += entry.tokens;
      rows += entry.samples;
      decodes |= entry.from_last_sample;
      if (!entry.from_last_sample) prompt_tokens += entry.tokens;
      check_entry(entry);
      write_pages(entry);
      if (entry.samples) samples.push_back(entry.id);
    }
    // Only now, as a step reads what it writes, but nothing that is written to its pages by others.
    for (const ScheduledEntry& entry : entries) read_pages(entry);
    EXPECT_LE(tokens, limits_.max_tokens);
    EXPECT_LE(rows, limits_.max_rows);
    EXPECT_LE(static_cast<int32_t>(entries.size()), limits_.max_sequences);
    if (decodes && limits_.prefill_chunk > 0) {
      EXPECT_LE(prompt_tokens, limits_.prefill_chunk);
    }
    note_passed_over(seen);
    in_flight_.push_back(std::move(samples));
    if (static_cast<int32_t>(in_flight_.size()) > lag_ || tokens == 0) tell_oldest();
    return tokens;
  }

  void expect_all_free() {
    for (size_t g = 0; g < limits_.groups.size(); ++g) {
      const PagePool& pool = scheduler_.pool(static_cast<int32_t>(g));
      EXPECT_EQ(pool.free_pages() + pool.idle_pages(), limits_.groups[g].pages) << "pages leaked";
      EXPECT_TRUE(limits_.prefix_cache || pool.idle_pages() == 0);
    }
    EXPECT_EQ(scheduler_.running(), 0);
    EXPECT_EQ(scheduler_.waiting(), 0);
  }

 private:
  struct Simulated {
    int32_t prompt = 0, known = 0, max = 0, done = 0, slot = -1;
    bool passed_over = false;
    uint64_t salt = 0;
    std::vector<int32_t> tokens;  // all that are known, samples that were not told yet among them
  };
  /// What a place in a page holds: keys and values depend on all tokens before.
  struct Written {
    uint64_t text = 0;
  };

  /// Stands for the salt and the first `length` tokens.
  static uint64_t text_of(const Simulated& sequence, int32_t length) {
    uint64_t text = sequence.salt + 1;
    for (int32_t i = 0; i < length; ++i) {
      text = (text ^ static_cast<uint64_t>(sequence.tokens[static_cast<size_t>(i)])) * 0x9e3779b97f4a7c15u;
      text ^= text >> 29;
    }
    return text;
  }
  /// What a sequence samples next depends on its text alone, as a model's does.
  static int32_t sample_of(const Simulated& sequence) {
    return static_cast<int32_t>(text_of(sequence, static_cast<int32_t>(sequence.tokens.size())) % 3);
  }

  void tell_oldest() {
    for (const SequenceId id : in_flight_.front()) {
      const auto found = sequences_.find(id);
      if (found != sequences_.end()) scheduler_.learn(id, found->second.tokens[told_[id]++]);
    }
    in_flight_.pop_front();
  }

  void check_entry(const ScheduledEntry& entry) {
    ASSERT_TRUE(sequences_.contains(entry.id));
    Simulated& sequence = sequences_.at(entry.id);
    EXPECT_TRUE(entry.starts || !sequence.passed_over) << "sequence " << entry.id << " had to wait for its token";
    sequence.passed_over = false;
    if (entry.starts) {
      preemptions_ += sequence.slot >= 0;
      sequence.done = entry.first_position;
      EXPECT_LT(sequence.done, sequence.known) << "the last token is always computed";
      EXPECT_TRUE(limits_.prefix_cache || sequence.done == 0);
      cached_tokens_ += sequence.done;
      sequence.slot = entry.slot;
      told_.try_emplace(entry.id, static_cast<size_t>(sequence.prompt));
    }
    EXPECT_LT(sequence.known, sequence.max) << "runs on after its last token";
    EXPECT_EQ(entry.slot, sequence.slot);
    EXPECT_EQ(entry.first_position, sequence.done) << "tokens out of order";
    EXPECT_GT(entry.tokens, 0);
    if (entry.from_last_sample) {
      EXPECT_EQ(entry.tokens, 1);
      EXPECT_FALSE(entry.starts);
      EXPECT_EQ(sequence.done, sequence.known - 1);
      EXPECT_GT(sequence.known, sequence.prompt);
    }
    sequence.done += entry.tokens;
    EXPECT_LE(sequence.done, sequence.known);
    EXPECT_LE(sequence.done, limits_.max_context);
    EXPECT_EQ(entry.samples, sequence.done == sequence.known);
    sequence.known += entry.samples;
    if (entry.samples) sequence.tokens.push_back(sample_of(sequence));
  }

  void write_pages(const ScheduledEntry& entry) {
    const Simulated& sequence = sequences_.at(entry.id);
    for (size_t g = 0; g < limits_.groups.size(); ++g) {
      const int32_t page_tokens = limits_.groups[g].page_tokens;
      const PagePool& pool = scheduler_.pool(static_cast<int32_t>(g));
      const auto table = scheduler_.pages(entry.id, static_cast<int32_t>(g));
      ASSERT_GE(static_cast<int32_t>(table.size()) * page_tokens, entry.first_position + entry.tokens);
      for (int32_t at = entry.first_position; at < entry.first_position + entry.tokens; ++at) {
        const int32_t page = table[static_cast<size_t>(at / page_tokens)];
        ASSERT_GE(page, 0);
        EXPECT_EQ(pool.holders(page), 1) << "a page is written that others hold";
        EXPECT_FALSE(pool.kept(page)) << "a page is written that the cache keeps";
        const bool fresh = written_[g].emplace(page, entry.id).second;
        EXPECT_TRUE(fresh || written_[g].at(page) == entry.id) << "a page has two writers";
        contents_[g][static_cast<size_t>(page)][static_cast<size_t>(at % page_tokens)] = {text_of(sequence, at + 1)};
      }
    }
  }

  void read_pages(const ScheduledEntry& entry) {
    const Simulated& sequence = sequences_.at(entry.id);
    for (size_t g = 0; g < limits_.groups.size(); ++g) {
      const auto [page_tokens, window, pages] = limits_.groups[g];
      const auto table = scheduler_.pages(entry.id, static_cast<int32_t>(g));
      const int32_t first = window > 0 ? std::max(0, entry.first_position - window + 1) : 0;
      int32_t held = 0;
      for (const int32_t page : table) held += page >= 0;
      EXPECT_LE(held, most_kv_pages(page_tokens, window, sequence.max, limits_.max_tokens));
      for (int32_t at = first; at < entry.first_position + entry.tokens; ++at) {
        const int32_t page = table[static_cast<size_t>(at / page_tokens)];
        ASSERT_GE(page, 0) << "a page is gone that a query still sees";
        ASSERT_EQ(contents_[g][static_cast<size_t>(page)][static_cast<size_t>(at % page_tokens)].text,
                  text_of(sequence, at + 1))
            << "position " << at << " of sequence " << entry.id << " holds another text";
      }
    }
  }

  /// A sequence that could decode must be in the step, unless it was preempted and so starts anew later.
  void note_passed_over(const std::set<SequenceId>& seen) {
    for (auto& [id, sequence] : sequences_) {
      const bool could = sequence.slot >= 0 && sequence.known > sequence.prompt &&
                         sequence.done == sequence.known - 1 && sequence.known < sequence.max;
      if (could && !seen.contains(id)) sequence.passed_over = true;
    }
  }

  Scheduler scheduler_;
  SchedulerLimits limits_;
  int32_t lag_;
  std::map<SequenceId, Simulated> sequences_;
  std::map<SequenceId, size_t> told_;                        // tokens the scheduler knows
  std::deque<std::vector<SequenceId>> in_flight_;            // whose samples were not told
  std::vector<std::vector<std::vector<Written>>> contents_;  // [group][page][position]
  std::vector<std::map<int32_t, SequenceId>> written_;       // in this step
  int64_t preemptions_ = 0, cached_tokens_ = 0;
};

}  // namespace incipit
