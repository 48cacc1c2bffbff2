// What a version does for its requests, while a canary is compared with it.
#pragma once

#include <atomic>
#include <mutex>
#include <utility>

#include "store/canary.h"

namespace incipit {

/// Any thread may add; what comes while nobody watches is dropped.
class VersionWindow {
 public:
  void watch(bool on) { on_ = on; }

  /// Of a prompt most of which was cached, the time says little of the engine.
  void add_first_token(int32_t prompt_tokens, int32_t cached_tokens, double ms) {
    constexpr int32_t share_that_counts = 8;
    if (!on_ || cached_tokens * share_that_counts > prompt_tokens) return;
    const std::lock_guard lock(mutex_);
    if (window_.first_tokens.size() < most_samples) window_.first_tokens.push_back({prompt_tokens, ms});
  }
  void add_gap(double ms) {
    if (!on_) return;
    const std::lock_guard lock(mutex_);
    if (window_.gaps_ms.size() < most_samples) window_.gaps_ms.push_back(ms);
  }
  void add_end(bool failed) {
    if (!on_) return;
    const std::lock_guard lock(mutex_);
    ++window_.ended;
    window_.failed += failed ? 1 : 0;
  }
  /// What came since the last call.
  TrafficWindow take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(window_, {});
  }

 private:
  static constexpr size_t most_samples = 100'000;

  std::atomic<bool> on_{false};
  std::mutex mutex_;
  TrafficWindow window_;  // under the mutex
};

}  // namespace incipit
