// Logits of given texts, straight from the executor: what `verify` and `eval` judge an engine by.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace incipit {

class Executor;

/// Hears the logits [vocabulary] that token `position` of text `text` yields.
using LogitsVisitor = std::function<void(size_t text, size_t position, std::span<const float> logits)>;

/// Runs the texts from their beginnings, several in a step where they fit, and calls `visit` for every token of every
/// text; the positions of one text come in order. Nothing else may use the executor meanwhile. Throws Error for a text
/// longer than the context or than the cache, an id outside the vocabulary, and on Ctrl-C.
void visit_logits(Executor& executor, std::span<const std::vector<int32_t>> texts, const LogitsVisitor& visit);

/// The same a step at a time, for whoever reads several executors side by side.
class LogitsSteps {
 public:
  /// Of at most `most_rows` tokens each. The executor and the texts must outlive this. Throws as visit_logits.
  LogitsSteps(Executor& executor, std::span<const std::vector<int32_t>> texts, int32_t most_rows = INT32_MAX);
  ~LogitsSteps();
  LogitsSteps(const LogitsSteps&) = delete;
  LogitsSteps& operator=(const LogitsSteps&) = delete;
  bool done() const;
  /// Calls `visit` for each of the step's tokens. Throws Error on Ctrl-C.
  void step(const LogitsVisitor& visit);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Windows of `window` tokens that do not overlap; what is left at the end is not used. Throws Error when the tokens
/// have no full window, or the window is shorter than 2.
std::vector<std::vector<int32_t>> windows_of(std::span<const int32_t> tokens, int32_t window);

/// −ln of a token's probability behind `logits`. Throws Error naming text and position when it is not finite.
double surprise_at(std::span<const float> logits, int32_t token, size_t text, size_t position);

/// Σ p · ln(p / q) of the distributions that logits give.
double divergence(std::span<const float> p, std::span<const float> q);

/// How likely a text is.
struct Perplexity {
  double value = 0;  // exp of the mean negative log-likelihood
  int64_t tokens_scored = 0;
};

/// Perplexity over windows_of; each starts anew, its first token is not scored. `advance(tokens)` hears of progress.
/// Throws Error as windows_of, and when the window is longer than the context.
Perplexity evaluate_perplexity(Executor& executor, std::span<const int32_t> tokens, int32_t window,
                               const std::function<void(int64_t)>& advance);

/// How far logits are from given ones.
struct LogitsComparison {
  double largest_expected = 0;    // |logit|
  double largest_error = 0;       // |difference|
  double mean_kl = 0;             // divergence of a row, p the given distribution, q ours
  int64_t rows = 0;               //
  int64_t same_choice = 0;        // rows whose largest logit is the same token
  double relative_error() const;  // largest_error / largest_expected; infinite for a NaN
  void add(std::span<const float> found, std::span<const float> expected);
};

}  // namespace incipit
