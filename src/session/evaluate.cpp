#include "session/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/progress.h"
#include "base/softmax.h"
#include "kernels/kv_pages.h"
#include "runtime/executor.h"
#include "session/page_pool.h"
#include "session/page_table.h"

namespace incipit {
namespace {

/// A text's share of the slots.
struct Reader {
  size_t text = 0;
  int32_t slot = 0;
  int32_t done = 0;  // tokens
  std::vector<PageTable> pages;
};

}  // namespace

/// Texts in order, as many at a time as slots and pages hold; each step takes as many tokens as it can sample.
struct LogitsSteps::State {
 public:
  State(Executor& executor, std::span<const std::vector<int32_t>> texts, int32_t most_rows)
      : executor_(executor), limits_(executor.limits()), texts_(texts) {
    for (const ExecutorLimits::Group& group : limits_.groups) pools_.emplace_back(group.pages);
    reserved_.resize(pools_.size());
    for (int32_t slot = std::min(limits_.slots, limits_.max_sequences); slot-- > 0;) free_slots_.push_back(slot);
    rows_.resize(static_cast<size_t>(std::min({limits_.max_rows, limits_.max_tokens, most_rows})));
    std::iota(rows_.begin(), rows_.end(), 0);
    for (const std::vector<int32_t>& text : texts) check(text);
    admit();
  }

  bool done() const { return readers_.empty(); }

  void step(const LogitsVisitor& visit) {
    check_interrupt();
    run_step(visit);
    admit();
  }

 private:
  void check(const std::vector<int32_t>& text) const {
    if (text.size() > static_cast<size_t>(limits_.max_context)) {
      throw Error("text",
                  fmt::format("it has {} tokens, and the engine's context {}", text.size(), limits_.max_context),
                  "shorten it, or build the engine with a larger --max-context");
    }
    for (size_t g = 0; g < pools_.size(); ++g) {
      if (most_pages(text, g) > pools_[g].total_pages()) {
        throw Error("text", fmt::format("its {} tokens need more cache than the engine was given", text.size()),
                    "give more memory");
      }
    }
    for (const int32_t id : text) {
      if (id < 0 || id >= limits_.vocabulary) {
        throw Error("text", fmt::format("token {} is outside the vocabulary", id),
                    fmt::format("ids are 0 to {}", limits_.vocabulary - 1));
      }
    }
  }

  /// Pages that a reader of the text holds at most.
  int32_t most_pages(const std::vector<int32_t>& text, size_t group) const {
    const ExecutorLimits::Group& limits = limits_.groups[group];
    return static_cast<int32_t>(most_kv_pages(limits.page_tokens, limits.window, static_cast<int64_t>(text.size()),
                                              static_cast<int64_t>(rows_.size())));
  }

  void admit() {
    for (; next_ < texts_.size() && !free_slots_.empty(); ++next_) {
      const std::vector<int32_t>& text = texts_[next_];
      if (text.empty()) continue;
      for (size_t g = 0; g < pools_.size(); ++g) {
        if (most_pages(text, g) > pools_[g].total_pages() - reserved_[g]) return;
      }
      Reader reader{next_, free_slots_.back(), 0, {}};
      free_slots_.pop_back();
      for (size_t g = 0; g < pools_.size(); ++g) {
        reader.pages.emplace_back(limits_.groups[g].page_tokens, limits_.groups[g].window);
        reserved_[g] += most_pages(text, g);
      }
      executor_.configure(reader.slot, SamplingParameters{}, static_cast<int32_t>(text.size()));
      readers_.push_back(std::move(reader));
    }
  }

  void run_step(const LogitsVisitor& visit) {
    std::vector<BatchEntry> entries;
    std::vector<std::vector<std::span<const int32_t>>> tables(readers_.size());
    size_t room = rows_.size();
    for (size_t i = 0; i < readers_.size() && room > 0; ++i) {
      Reader& reader = readers_[i];
      const auto rest = std::span(texts_[reader.text]).subspan(static_cast<size_t>(reader.done));
      BatchEntry entry;
      entry.slot = reader.slot;
      entry.tokens = rest.first(std::min(room, rest.size()));
      hold_pages(reader, reader.done + static_cast<int32_t>(entry.tokens.size()));
      for (const PageTable& table : reader.pages) tables[i].push_back(table.pages());
      entry.first_position = reader.done;
      entry.pages = tables[i];
      entry.rows = std::span(rows_).first(entry.tokens.size());
      room -= entry.tokens.size();
      entries.push_back(entry);
    }
    Batch batch;
    batch.entries = entries;
    batch.want_logits = true;
    const Ticket ticket = executor_.submit(batch);
    executor_.collect(ticket);
    deliver(entries, executor_.logits(ticket), visit);
    std::erase_if(readers_, [&](Reader& reader) { return release_if_done(reader); });
  }

  /// Moves the reader's tables on to a step that ends at `end`.
  void hold_pages(Reader& reader, int32_t end) {
    for (size_t g = 0; g < pools_.size(); ++g) {
      PageTable& table = reader.pages[g];
      table.leave_behind(reader.done, [&](int32_t page) { pools_[g].release(page); });
      while (table.size() < table.pages_for(end)) table.append(pools_[g].take());
    }
  }

  void deliver(const std::vector<BatchEntry>& entries, std::span<const float> logits, const LogitsVisitor& visit) {
    const auto vocabulary = static_cast<size_t>(limits_.vocabulary);
    size_t row = 0;
    for (size_t i = 0; i < entries.size(); ++i) {
      for (size_t token = 0; token < entries[i].tokens.size(); ++token, ++row) {
        visit(readers_[i].text, static_cast<size_t>(readers_[i].done) + token,
              logits.subspan(row * vocabulary, vocabulary));
      }
      readers_[i].done += static_cast<int32_t>(entries[i].tokens.size());
    }
  }

  bool release_if_done(Reader& reader) {
    if (reader.done < static_cast<int32_t>(texts_[reader.text].size())) return false;
    for (size_t g = 0; g < pools_.size(); ++g) {
      reader.pages[g].clear([&](int32_t page) { pools_[g].release(page); });
      reserved_[g] -= most_pages(texts_[reader.text], g);
    }
    free_slots_.push_back(reader.slot);
    return true;
  }

  Executor& executor_;
  const ExecutorLimits& limits_;
  std::span<const std::vector<int32_t>> texts_;
  std::vector<PagePool> pools_;
  std::vector<int32_t> reserved_;  // pages that readers may hold, a group
  std::vector<int32_t> free_slots_;
  std::vector<int32_t> rows_;  // 0, 1, 2 …: every token is sampled
  std::vector<Reader> readers_;
  size_t next_ = 0;
};

LogitsSteps::LogitsSteps(Executor& executor, std::span<const std::vector<int32_t>> texts, int32_t most_rows)
    : state_(std::make_unique<State>(executor, texts, most_rows)) {}
LogitsSteps::~LogitsSteps() = default;
bool LogitsSteps::done() const { return state_->done(); }
void LogitsSteps::step(const LogitsVisitor& visit) { state_->step(visit); }

void visit_logits(Executor& executor, std::span<const std::vector<int32_t>> texts, const LogitsVisitor& visit) {
  LogitsSteps steps(executor, texts);
  while (!steps.done()) steps.step(visit);
}

std::vector<std::vector<int32_t>> windows_of(std::span<const int32_t> tokens, int32_t window) {
  if (window < 2) throw Error("--window", fmt::format("{} leaves nothing to score", window), "give 2 or more");
  const auto width = static_cast<size_t>(window);
  std::vector<std::vector<int32_t>> windows;
  for (size_t first = 0; first + width <= tokens.size(); first += width) {
    windows.emplace_back(tokens.begin() + static_cast<std::ptrdiff_t>(first),
                         tokens.begin() + static_cast<std::ptrdiff_t>(first + width));
  }
  if (windows.empty()) {
    throw Error("text", fmt::format("its {} tokens do not fill a window of {}", tokens.size(), window),
                "give a longer text or a smaller --window");
  }
  return windows;
}

double surprise_at(std::span<const float> logits, int32_t token, size_t text, size_t position) {
  const double surprise = log_sum_exp<float>(logits.data(), std::ssize(logits)) - logits[static_cast<size_t>(token)];
  if (std::isfinite(surprise)) return surprise;
  throw Error("logits", fmt::format("behind token {} of window {} they are NaN or infinite", position, text),
              "build the engine with --precision f32; if they still are, the model is at fault");
}

double divergence(std::span<const float> p, std::span<const float> q) {
  INCIPIT_ASSERT(p.size() == q.size() && !p.empty());
  const double p_total = log_sum_exp<double>(p.data(), std::ssize(p));
  const double q_total = log_sum_exp<double>(q.data(), std::ssize(q));
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double of_p = p[i] - p_total, of_q = q[i] - q_total;
    sum += std::exp(of_p) * (of_p - of_q);
  }
  return sum;
}

Perplexity evaluate_perplexity(Executor& executor, std::span<const int32_t> tokens, int32_t window,
                               const std::function<void(int64_t)>& advance) {
  const std::vector<std::vector<int32_t>> windows = windows_of(tokens, window);
  double loss = 0;
  Perplexity result;
  visit_logits(executor, windows, [&](size_t text, size_t position, std::span<const float> logits) {
    advance(1);
    if (position + 1 == windows[text].size()) return;
    loss += surprise_at(logits, windows[text][position + 1], text, position);
    ++result.tokens_scored;
  });
  result.value = std::exp(loss / static_cast<double>(result.tokens_scored));
  return result;
}

double LogitsComparison::relative_error() const {
  if (largest_error == 0) return 0;
  return largest_expected > 0 ? largest_error / largest_expected : std::numeric_limits<double>::infinity();
}

void LogitsComparison::add(std::span<const float> found, std::span<const float> expected) {
  const double kl = divergence(expected, found);
  for (size_t i = 0; i < found.size(); ++i) {
    largest_expected = std::max(largest_expected, std::fabs(static_cast<double>(expected[i])));
    const double error = std::fabs(static_cast<double>(found[i]) - expected[i]);
    largest_error = std::max(largest_error, std::isnan(error) ? std::numeric_limits<double>::infinity() : error);
  }
  same_choice +=
      std::ranges::max_element(found) - found.begin() == std::ranges::max_element(expected) - expected.begin();
  mean_kl += (kl - mean_kl) / static_cast<double>(++rows);
}

}  // namespace incipit
