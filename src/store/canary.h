// Whether a canary is as good as the live version, from what both did in the same minutes. Pure: no clock.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace incipit {

/// What a version did for its requests in a window of time.
struct TrafficWindow {
  struct FirstToken {
    int32_t prompt_tokens = 0;
    double ms = 0;
  };
  std::vector<FirstToken> first_tokens;  // of prompts of which next to nothing was cached
  std::vector<double> gaps_ms;           // from token to token
  int64_t ended = 0, failed = 0;         // requests
};

struct CanaryRules {
  size_t least_samples = 30;  // of each version, to be compared at all
  double slower = 1.25;       // so many times the live version's is bad
  double slack_ms = 2;        // what a clock and a wake may add
  int32_t bad_windows = 3;    // one after the other roll it back
};

enum class WindowVerdict : uint8_t { too_few, good, bad };

struct WindowJudgement {
  WindowVerdict verdict = WindowVerdict::too_few;
  std::string reason;  // of a bad one
  boost::json::object evidence = {};
};

/// The 95th percentile of first tokens by class of prompt length, the 99th of gaps, and the share that failed; each
/// where both versions have enough samples.
WindowJudgement judge(const TrafficWindow& live, const TrafficWindow& canary, const CanaryRules& rules);

/// How many windows were bad one after the other. Windows with too few samples count for nothing.
class CanaryVerdicts {
 public:
  explicit CanaryVerdicts(int32_t bad_windows) : most_(bad_windows) {}
  /// True where that is one too many.
  bool add(WindowVerdict verdict);

 private:
  int32_t most_, bad_ = 0;
};

}  // namespace incipit
