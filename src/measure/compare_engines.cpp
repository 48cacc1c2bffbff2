#include "measure/compare_engines.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "runtime/executor.h"
#include "session/evaluate.h"
#include "session/session.h"

namespace incipit {
namespace {

constexpr int64_t held_bytes = int64_t{64} << 20;  // of logits

/// One engine's steps over one text, each on the engine's thread.
class SteppedEngine {
 public:
  SteppedEngine(Gateway& gateway, std::span<const std::vector<int32_t>> text, int32_t most_rows) : gateway_(gateway) {
    gateway_.run_alone(
        [&](Session& session) { steps_ = std::make_unique<LogitsSteps>(session.executor(), text, most_rows); });
  }
  bool done() const { return steps_->done(); }
  void step(const LogitsVisitor& visit) {
    gateway_.run_alone([&](Session&) { steps_->step(visit); });
  }

 private:
  Gateway& gateway_;
  std::unique_ptr<LogitsSteps> steps_;
};

/// What comes of the tokens, as they come.
class Tally {
 public:
  explicit Tally(const CompareOptions& options) : options_(options) {}

  /// `position`: of the predicted token in the text.
  void add(int64_t position, double reference_surprise, double surprise, double kl, bool same) {
    reference_loss_ += reference_surprise;
    loss_ += surprise;
    same_choice_ += same ? 1 : 0;
    divergences_.push_back(static_cast<float>(kl));
    if (passage_.tokens == 0) passage_.first = position;
    ++passage_.tokens;
    passage_.mean_kl += kl;
    if (passage_.tokens == options_.passage) end_passage();
  }

  /// Passages end with their window.
  void end_passage() {
    if (passage_.tokens == 0) return;
    passage_.mean_kl /= static_cast<double>(passage_.tokens);
    const auto place = std::ranges::find_if(
        worst_, [&](const EngineComparison::Passage& kept) { return kept.mean_kl < passage_.mean_kl; });
    worst_.insert(place, passage_);
    if (worst_.size() > options_.worst) worst_.pop_back();
    passage_ = {};
  }

  EngineComparison result() {
    EngineComparison found;
    const auto count = static_cast<double>(divergences_.size());
    found.tokens = std::ssize(divergences_);
    found.reference_perplexity = std::exp(reference_loss_ / count);
    found.perplexity = std::exp(loss_ / count);
    for (const float kl : divergences_) found.mean_kl += static_cast<double>(kl) / count;
    const auto p99 = divergences_.begin() + static_cast<std::ptrdiff_t>(std::ceil(0.99 * count)) - 1;
    std::ranges::nth_element(divergences_, p99);
    found.p99_kl = static_cast<double>(*p99);
    found.most_kl = static_cast<double>(*std::ranges::max_element(p99, divergences_.end()));
    found.same_choice = same_choice_;
    found.worst = worst_;
    return found;
  }

 private:
  const CompareOptions& options_;
  double reference_loss_ = 0, loss_ = 0;
  int64_t same_choice_ = 0;
  std::vector<float> divergences_;  // a token's: four bytes of each
  EngineComparison::Passage passage_;
  std::vector<EngineComparison::Passage> worst_;
};

size_t likeliest(std::span<const float> logits) {
  return static_cast<size_t>(std::ranges::max_element(logits) - logits.begin());
}

void check_comparable(const Gateway& reference, const Gateway& other, const CompareOptions& options) {
  if (reference.limits().vocabulary != other.limits().vocabulary) {
    throw Error(other.engine().path().string(),
                fmt::format("its vocabulary is {}, and {}'s {}", other.limits().vocabulary,
                            reference.engine().path().string(), reference.limits().vocabulary),
                "compare engines of one model");
  }
  for (const Gateway* gateway : {&reference, &other}) {
    const int32_t context = gateway->limits().max_context;
    if (options.window <= context) continue;
    throw Error("--window",
                fmt::format("{} tokens are more than the context of {}, {}", options.window,
                            gateway->engine().path().string(), context),
                fmt::format("give {} or less", context));
  }
}

}  // namespace

EngineComparison compare_engines(Gateway& reference, Gateway& other, std::span<const int32_t> tokens,
                                 const CompareOptions& options, const std::function<void(int64_t)>& advance) {
  check_comparable(reference, other, options);
  const std::vector<std::vector<int32_t>> windows = windows_of(tokens, options.window);
  const auto vocabulary = static_cast<size_t>(reference.limits().vocabulary);
  const auto fits = [](const Gateway& gateway) {
    return std::min(gateway.limits().max_rows, gateway.limits().max_tokens);
  };
  const auto held_rows = held_bytes / static_cast<int64_t>(vocabulary * sizeof(float));
  const auto rows =
      static_cast<int32_t>(std::clamp<int64_t>(held_rows, 1, std::min({fits(reference), fits(other), options.window})));
  std::vector<float> expected(static_cast<size_t>(rows) * vocabulary);
  Tally tally(options);
  for (size_t w = 0; w < windows.size(); ++w) {
    const auto text = std::span(windows).subspan(w, 1);
    SteppedEngine first(reference, text, rows), second(other, text, rows);
    size_t begin = 0;  // of the step's tokens
    while (!first.done()) {
      size_t end = begin;
      first.step([&](size_t, size_t position, std::span<const float> logits) {
        std::ranges::copy(logits, expected.begin() + static_cast<std::ptrdiff_t>((position - begin) * vocabulary));
        end = position + 1;
      });
      second.step([&](size_t, size_t position, std::span<const float> logits) {
        advance(1);
        if (position + 1 == text[0].size()) return;
        const auto wanted = std::span(expected).subspan((position - begin) * vocabulary, vocabulary);
        const int32_t token = text[0][position + 1];
        const auto place = static_cast<int64_t>(w * text[0].size() + position + 1);
        const double of_reference = surprise_at(wanted, token, w, position);
        tally.add(place, of_reference, surprise_at(logits, token, w, position), divergence(wanted, logits),
                  likeliest(wanted) == likeliest(logits));
      });
      begin = end;
    }
    tally.end_passage();
  }
  return tally.result();
}

}  // namespace incipit
