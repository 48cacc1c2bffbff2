// Drives an Executor by hand: sequences whose pages and positions the test decides.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "compile/compile.h"
#include "import/import.h"
#include "runtime/executor.h"

namespace incipit {

/// Compiles a model directory quietly.
inline std::shared_ptr<const Engine> compile_for_test(const std::filesystem::path& model,
                                                      const std::filesystem::path& out, CompileOptions options) {
  Progress quiet(false);
  compile(import_model(model), options, out, quiet);
  return Engine::open(out);
}

inline std::unique_ptr<Device> make_test_device(const std::string& name, int threads = 2) {
  return name == "cpu" ? make_cpu_device(threads) : make_shadow_device(threads);
}

/// One sequence's share of the next step.
struct Feed {
  int32_t slot = 0;
  std::vector<int32_t> tokens;  // empty: the last sample
  std::vector<int32_t> rows;    // sampled, indices into its tokens
};

/// An executor, and for every slot how far it is and which pages it holds (never shared, never freed; scattered over
/// the pool so that no kernel can rely on neighbours).
class Driver {
 public:
  Driver(std::shared_ptr<const Engine> engine, std::unique_ptr<Device> device, const ExecutorOptions& options = {})
      : executor_(std::move(engine), std::move(device), options) {
    const ExecutorLimits& limits = executor_.limits();
    tables_.resize(static_cast<size_t>(limits.slots));
    positions_.assign(static_cast<size_t>(limits.slots), 0);
    for (auto& slot : tables_) slot.resize(limits.groups.size());
    next_page_.assign(limits.groups.size(), 0);
  }

  Executor& executor() { return executor_; }
  int32_t position(int32_t slot) const { return positions_[static_cast<size_t>(slot)]; }

  void start(int32_t slot, const SamplingParameters& parameters = {}, int32_t generated_from = 0) {
    positions_[static_cast<size_t>(slot)] = 0;
    executor_.configure(slot, parameters, generated_from);
  }
  void truncate(int32_t slot, int32_t length) {
    positions_[static_cast<size_t>(slot)] = length;
    executor_.truncate(slot, length);
  }

  Ticket submit(const std::vector<Feed>& feeds, bool want_logits) {
    std::vector<BatchEntry> entries;
    std::vector<std::vector<std::vector<int32_t>>> tables(feeds.size());
    std::vector<std::vector<std::span<const int32_t>>> pages(feeds.size());
    for (size_t i = 0; i < feeds.size(); ++i) {
      const Feed& feed = feeds[i];
      const auto count = static_cast<int32_t>(std::max<size_t>(1, feed.tokens.size()));
      int32_t& position = positions_[static_cast<size_t>(feed.slot)];
      reserve(feed.slot, position + count);
      tables[i] = tables_[static_cast<size_t>(feed.slot)];
      forget_behind_windows(position, tables[i]);
      for (const auto& table : tables[i]) pages[i].emplace_back(table);
      BatchEntry entry;
      entry.slot = feed.slot;
      entry.tokens = feed.tokens;
      entry.first_position = position;
      entry.pages = pages[i];
      entry.rows = feed.rows;
      entries.push_back(entry);
      position += count;
    }
    Batch batch;
    batch.entries = entries;
    batch.want_logits = want_logits;
    return executor_.submit(batch);
  }

  std::vector<SampledRow> step(const std::vector<Feed>& feeds) {
    const auto rows = executor_.collect(submit(feeds, false));
    return {rows.begin(), rows.end()};
  }

  /// Logits of all tokens fed, entries in order.
  std::vector<float> logits(std::vector<Feed> feeds) {
    for (Feed& feed : feeds) {
      feed.rows.clear();
      for (size_t i = 0; i < std::max<size_t>(1, feed.tokens.size()); ++i) feed.rows.push_back(static_cast<int32_t>(i));
    }
    const Ticket ticket = submit(feeds, true);
    executor_.collect(ticket);
    const auto values = executor_.logits(ticket);
    return {values.begin(), values.end()};
  }

 private:
  /// Pages behind the window of the first token may belong to another sequence by now: their numbers lead nowhere.
  void forget_behind_windows(int32_t first_position, std::vector<std::vector<int32_t>>& tables) const {
    for (size_t g = 0; g < tables.size(); ++g) {
      const ExecutorLimits::Group& group = executor_.limits().groups[g];
      if (group.window == 0) continue;
      const int32_t behind = std::max(0, first_position - group.window + 1) / group.page_tokens;
      std::fill_n(tables[g].begin(), behind, INT32_MAX);
    }
  }

  void reserve(int32_t slot, int32_t tokens) {
    const auto& groups = executor_.limits().groups;
    for (size_t g = 0; g < groups.size(); ++g) {
      auto& table = tables_[static_cast<size_t>(slot)][g];
      while (static_cast<int32_t>(table.size()) * groups[g].page_tokens < tokens) {
        ASSERT_LT(next_page_[g], groups[g].pages);
        // From both ends of the pool in turn.
        const int32_t n = next_page_[g]++;
        table.push_back(n % 2 == 0 ? n / 2 : groups[g].pages - 1 - n / 2);
      }
    }
  }

  Executor executor_;
  std::vector<std::vector<std::vector<int32_t>>> tables_;  // [slot][group]
  std::vector<int32_t> positions_;
  std::vector<int32_t> next_page_;
};

}  // namespace incipit
