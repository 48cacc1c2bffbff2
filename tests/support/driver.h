// Drives an Executor by hand: sequences whose pages and positions the test decides.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/executor.h"
#include "support/compile_for_test.h"
#include "support/sequences.h"

namespace incipit {

/// One sequence's share of the next step.
struct Feed {
  int32_t slot = 0;
  std::vector<int32_t> tokens;  // empty: the last sample
  std::vector<int32_t> rows;    // sampled, indices into its tokens
};

/// An executor, and a sequence in each of its slots, whose pages are never shared and never freed.
class Driver {
 public:
  /// On the device that the engine is for.
  explicit Driver(const std::shared_ptr<const Engine>& engine, int threads = 2, const ExecutorOptions& options = {})
      : executor_(engine, make_device(engine->target(), threads), options), pages_(executor_.limits()) {
    for (int32_t slot = 0; slot < executor_.limits().slots; ++slot) sequences_.push_back(pages_.add_empty());
  }

  Executor& executor() { return executor_; }
  int32_t position(int32_t slot) const { return sequences_[static_cast<size_t>(slot)].position; }

  void start(int32_t slot, const SamplingParameters& parameters = {}, int32_t generated_from = 0) {
    sequences_[static_cast<size_t>(slot)].position = 0;
    executor_.configure(slot, parameters, generated_from);
  }
  void truncate(int32_t slot, int32_t length) {
    sequences_[static_cast<size_t>(slot)].position = length;
    executor_.truncate(slot, length);
  }

  Ticket submit(const std::vector<Feed>& feeds, bool want_logits) {
    std::vector<Share> shares;
    for (const Feed& feed : feeds) {
      Sequence& sequence = sequences_[static_cast<size_t>(feed.slot)];
      pages_.reserve(sequence, sequence.position + static_cast<int32_t>(std::max<size_t>(1, feed.tokens.size())));
      shares.push_back({&sequence, feed.tokens, feed.rows, {}});
    }
    return incipit::submit(executor_, shares, want_logits);
  }

  std::vector<SampledRow> step(const std::vector<Feed>& feeds) {
    const auto rows = executor_.collect(submit(feeds, false));
    return {rows.begin(), rows.end()};
  }

  /// Logits of all tokens fed, entries in order.
  std::vector<float> logits(std::vector<Feed> feeds) {
    for (Feed& feed : feeds) feed.rows = all_rows(std::max<size_t>(1, feed.tokens.size()));
    const Ticket ticket = submit(feeds, true);
    executor_.collect(ticket);
    const auto values = executor_.logits(ticket);
    return {values.begin(), values.end()};
  }

 private:
  Executor executor_;
  Sequences pages_;
  std::vector<Sequence> sequences_;  // a slot
};

}  // namespace incipit
