#include "store/canary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cmath>

namespace incipit {
namespace {

/// Classes of prompts by their tokens, up to each bound.
constexpr std::array<int32_t, 5> class_bounds{64, 256, 1024, 4096, INT32_MAX};

/// By nearest rank.
double percentile(std::vector<double> values, double percent) {
  const auto rank = static_cast<size_t>(std::ceil(percent / 100 * static_cast<double>(values.size())));
  const auto at = values.begin() + static_cast<int64_t>(std::max<size_t>(rank, 1) - 1);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

std::vector<double> of_class(const TrafficWindow& window, int32_t above, int32_t bound) {
  std::vector<double> ms;
  for (const TrafficWindow::FirstToken& one : window.first_tokens) {
    if (one.prompt_tokens > above && one.prompt_tokens <= bound) ms.push_back(one.ms);
  }
  return ms;
}

class Judge {
 public:
  explicit Judge(const CanaryRules& rules) : rules_(rules) {}

  void compare_times(const std::string& name, double percent, const std::vector<double>& live,
                     const std::vector<double>& canary) {
    if (live.size() < rules_.least_samples || canary.size() < rules_.least_samples) return;
    const double of_live = percentile(live, percent), of_canary = percentile(canary, percent);
    found_.evidence[name] = boost::json::object{{"live_ms", of_live},
                                                {"canary_ms", of_canary},
                                                {"live_samples", live.size()},
                                                {"canary_samples", canary.size()}};
    judge(of_canary > rules_.slower * of_live + rules_.slack_ms,
          fmt::format("{} takes {:.1f} ms, and {:.1f} of the live version", name, of_canary, of_live));
  }

  /// More than a hundredth above the live version's, and no chance of so few.
  void compare_failures(const TrafficWindow& live, const TrafficWindow& canary) {
    constexpr int64_t least_failures = 3;
    if (canary.ended < static_cast<int64_t>(rules_.least_samples) || live.ended == 0) return;
    const double of_live = static_cast<double>(live.failed) / static_cast<double>(live.ended);
    const double of_canary = static_cast<double>(canary.failed) / static_cast<double>(canary.ended);
    found_.evidence["failures"] = boost::json::object{{"live", live.failed},
                                                      {"live_requests", live.ended},
                                                      {"canary", canary.failed},
                                                      {"canary_requests", canary.ended}};
    judge(canary.failed >= least_failures && of_canary > of_live + 0.01,
          fmt::format("{} of {} requests fail, and {} of {} of the live version", canary.failed, canary.ended,
                      live.failed, live.ended));
  }

  WindowJudgement found() && { return std::move(found_); }

 private:
  void judge(bool bad, const std::string& reason) {
    if (found_.verdict == WindowVerdict::too_few) found_.verdict = WindowVerdict::good;
    if (!bad) return;
    found_.verdict = WindowVerdict::bad;
    found_.reason += (found_.reason.empty() ? "" : "; ") + reason;
  }

  const CanaryRules& rules_;
  WindowJudgement found_;
};

}  // namespace

WindowJudgement judge(const TrafficWindow& live, const TrafficWindow& canary, const CanaryRules& rules) {
  Judge judge(rules);
  int32_t above = 0;
  for (const int32_t bound : class_bounds) {
    const std::string name = bound == INT32_MAX ? fmt::format("the first token of more than {} (p95)", above)
                                                : fmt::format("the first token of {} to {} (p95)", above + 1, bound);
    judge.compare_times(name, 95, of_class(live, above, bound), of_class(canary, above, bound));
    above = bound;
  }
  judge.compare_times("the next token (p99)", 99, live.gaps_ms, canary.gaps_ms);
  judge.compare_failures(live, canary);
  return std::move(judge).found();
}

bool CanaryVerdicts::add(WindowVerdict verdict) {
  if (verdict == WindowVerdict::good) bad_ = 0;
  if (verdict == WindowVerdict::bad) ++bad_;
  return bad_ >= most_;
}

}  // namespace incipit
