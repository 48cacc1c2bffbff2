// Driving an executor in tests: sequences with page tables, fed in shares.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "base/error.h"
#include "runtime/executor.h"

namespace incipit {

/// A sequence with pages from a common, shuffled list: no kernel can rely on neighbours.
struct Sequence {
  int32_t slot = 0;
  std::vector<std::vector<int32_t>> pages;  // a group
  int32_t position = 0;                     // of the next token
};

/// Hands out slots in order and pages in none. Pages never come back.
class Sequences {
 public:
  /// `limits` outlives this.
  explicit Sequences(const ExecutorLimits& limits, uint32_t seed = 1) : limits_(limits) {
    std::mt19937 random(seed);
    for (const ExecutorLimits::Group& group : limits.groups) {
      std::vector<int32_t>& free = free_.emplace_back(static_cast<size_t>(group.pages));
      std::iota(free.begin(), free.end(), 0);
      std::shuffle(free.begin(), free.end(), random);
    }
  }

  /// A sequence with pages for its whole context.
  Sequence add() {
    Sequence sequence = add_empty();
    reserve(sequence, limits_.max_context);
    return sequence;
  }
  Sequence add_empty() { return {next_slot_++, std::vector<std::vector<int32_t>>(free_.size()), 0}; }

  /// Sees to it that the sequence has pages for `tokens` tokens.
  void reserve(Sequence& sequence, int32_t tokens) {
    for (size_t g = 0; g < free_.size(); ++g) {
      std::vector<int32_t>& table = sequence.pages[g];
      while (static_cast<int32_t>(table.size()) * limits_.groups[g].page_tokens < tokens) {
        INCIPIT_ASSERT(!free_[g].empty());
        table.push_back(free_[g].back());
        free_[g].pop_back();
      }
    }
  }

 private:
  const ExecutorLimits& limits_;
  std::vector<std::vector<int32_t>> free_;
  int32_t next_slot_ = 0;
};

/// A sequence's tokens of one step.
struct Share {
  Sequence* sequence;
  std::vector<int32_t> tokens;  // empty: the last sample
  std::vector<int32_t> rows;
  std::vector<uint32_t> mask;
};

inline std::vector<int32_t> all_rows(size_t tokens) {
  std::vector<int32_t> rows(tokens);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

/// The sequence's page tables. Pages behind the window of the next token may belong to another sequence by now: their
/// numbers lead nowhere.
inline std::vector<std::vector<int32_t>> visible_pages(const Sequence& sequence, const ExecutorLimits& limits) {
  std::vector<std::vector<int32_t>> tables = sequence.pages;
  for (size_t g = 0; g < tables.size(); ++g) {
    const ExecutorLimits::Group& group = limits.groups[g];
    if (group.window == 0) continue;
    std::fill_n(tables[g].begin(), std::max(0, sequence.position - group.window + 1) / group.page_tokens, INT32_MAX);
  }
  return tables;
}

/// Submits the shares and moves the sequences on. What the batch was made of is garbage once it is submitted: nothing
/// may read it when the step runs.
inline Ticket submit(Executor& executor, std::span<const Share> shares, bool want_logits = false) {
  std::vector<std::vector<std::vector<int32_t>>> tables;
  std::vector<std::vector<std::span<const int32_t>>> pages;
  for (const Share& share : shares) {
    tables.push_back(visible_pages(*share.sequence, executor.limits()));
    pages.emplace_back(tables.back().begin(), tables.back().end());
  }
  std::vector<BatchEntry> entries;
  for (size_t i = 0; i < shares.size(); ++i) {
    const Share& share = shares[i];
    entries.push_back({share.sequence->slot, share.tokens, share.sequence->position, pages[i], share.rows, share.mask});
    share.sequence->position += share.tokens.empty() ? 1 : static_cast<int32_t>(share.tokens.size());
  }
  const Ticket ticket = executor.submit({entries, want_logits});
  for (auto& of_share : tables) {
    for (std::vector<int32_t>& table : of_share) std::ranges::fill(table, INT32_MIN);
  }
  std::ranges::fill(entries, BatchEntry{-1, {}, INT32_MIN, {}, {}, {}});
  return ticket;
}

/// Runs one step and returns its logits [rows, vocabulary].
inline std::vector<float> logits_of(Executor& executor, std::span<const Share> shares) {
  const Ticket ticket = submit(executor, shares, true);
  executor.collect(ticket);
  const std::span<const float> logits = executor.logits(ticket);
  return {logits.begin(), logits.end()};
}

/// Runs one step and returns what was sampled.
inline std::vector<int32_t> ids_of(Executor& executor, std::span<const Share> shares) {
  std::vector<int32_t> ids;
  for (const SampledRow& row : executor.collect(submit(executor, shares))) ids.push_back(row.id);
  return ids;
}

/// Feeds a text in chunks of the given sizes, taken in turn, with every row sampled; returns all logits.
inline std::vector<float> logits_in_chunks(Executor& executor, Sequence& sequence, std::span<const int32_t> text,
                                           const std::vector<int32_t>& sizes) {
  std::vector<float> all;
  for (size_t begin = 0, chunk = 0; begin < text.size(); ++chunk) {
    const auto size = std::min(static_cast<size_t>(sizes[chunk % sizes.size()]), text.size() - begin);
    const Share share{&sequence,
                      {text.begin() + static_cast<int64_t>(begin), text.begin() + static_cast<int64_t>(begin + size)},
                      all_rows(size),
                      {}};
    const std::vector<float> logits = logits_of(executor, {&share, 1});
    all.insert(all.end(), logits.begin(), logits.end());
    begin += size;
  }
  return all;
}

}  // namespace incipit
