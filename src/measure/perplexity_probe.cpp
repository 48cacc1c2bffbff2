#include "measure/perplexity_probe.h"

#include <fmt/format.h>

#include <cmath>
#include <deque>
#include <limits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "measure/probe_request.h"
#include "session/evaluate.h"

namespace incipit {
namespace {

/// −ln of the probability of a window's tokens, of which the engine computes the whole first: what begins the others,
/// each of which ends a token earlier, is cached then.
class WindowProbe {
 public:
  WindowProbe(Gateway& gateway, std::span<const int32_t> window, std::chrono::steady_clock::time_point until)
      : gateway_(gateway), window_(window), until_(until), salt_(request_to(1).cache_salt) {}

  std::optional<double> loss() {
    size_t position = window_.size() - 1;  // of the token that is predicted
    start(position);
    if (!finish()) return {};
    const auto at_once = static_cast<size_t>(std::max(1, gateway_.limits().max_sequences));
    while (--position > 0) {
      if (running_.size() == at_once && !finish()) return {};
      start(position);
    }
    while (!running_.empty()) {
      if (!finish()) return {};
    }
    return loss_;
  }

 private:
  Request request_to(size_t position) const {
    Request request = probe_request(gateway_, window_.first(position), 1);
    force_token(request.sampling, window_[position]);
    return request;
  }
  void start(size_t position) {
    Request request = request_to(position);
    request.cache_salt = salt_;
    running_.emplace_back(gateway_, std::move(request));
    wanted_.push_back(window_[position]);
  }
  bool finish() {
    const ProbeAnswer answer = running_.front().answer(until_);
    const int32_t wanted = wanted_.front();
    running_.pop_front();
    wanted_.pop_front();
    if (answer.finish == FinishReason::none || answer.finish == FinishReason::cancelled) return false;
    if (!answer.is_whole()) throw Error(gateway_.engine().path().string(), answer.failure);
    // A token without any probability is not even drawn where it is forced.
    const SampledRow& row = answer.rows.front();
    loss_ -= row.id == wanted ? static_cast<double>(row.logprob) : -std::numeric_limits<double>::infinity();
    return true;
  }

  Gateway& gateway_;
  std::span<const int32_t> window_;
  std::chrono::steady_clock::time_point until_;
  uint64_t salt_;
  std::deque<EngineProbe> running_;
  std::deque<int32_t> wanted_;  // what each predicts
  double loss_ = 0;
};

}  // namespace

std::optional<ProbedPerplexity> probe_perplexity(Gateway& gateway, std::span<const int32_t> tokens, int32_t window,
                                                 std::chrono::steady_clock::time_point until) {
  ProbedPerplexity found;
  double loss = 0;
  for (const std::vector<int32_t>& one : windows_of(tokens, window)) {
    const std::optional<double> part = WindowProbe(gateway, one, until).loss();
    if (!part) return {};
    loss += *part;
    found.tokens += std::ssize(one) - 1;
  }
  found.value = std::exp(loss / static_cast<double>(found.tokens));
  return found;
}

}  // namespace incipit
