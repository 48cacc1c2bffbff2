#include "measure/simulation.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/progress.h"

namespace incipit {
namespace {

/// A replay: the clock is the steps'.
class Replay {
 public:
  Replay(std::span<const Arrival> arrivals, const StepCosts& costs, const SimulationOptions& options)
      : arrivals_(arrivals), costs_(costs), options_(options), scheduler_(options.limits, options.policy, costs) {}

  SimulationResult run() {
    while (next_ < arrivals_.size() || !live_.empty()) {
      while (next_ < arrivals_.size() && arrival_of(next_) <= result_.us) arrive();
      if (step()) continue;
      if (next_ == arrivals_.size()) break;
      result_.us = std::max(result_.us, arrival_of(next_));
    }
    INCIPIT_ASSERT(live_.empty());
    return std::move(result_);
  }

 private:
  struct Live {
    int64_t arrival_us = 0, predicted_us = 0, alone_us = 0, last_token_us = 0;
    int32_t tokens_left = 0;
  };

  int64_t arrival_of(size_t index) const { return static_cast<int64_t>(arrivals_[index].due_s * 1e6 / options_.speed); }

  void arrive() {
    check_interrupt();
    const size_t index = next_++;
    const Arrival& arrival = arrivals_[index];
    Live one;
    one.arrival_us = arrival_of(index);
    one.tokens_left = arrival.new_tokens;
    one.alone_us = std::max<int64_t>(1, costs_.predict_prompt(arrival.prompt_tokens));
    const std::vector<int32_t> prompt = prompt_of(arrival, index, 0, 0, INT32_MAX);
    SequenceTerms terms;
    terms.arrival_us = one.arrival_us;
    one.predicted_us = result_.us - one.arrival_us + scheduler_.predict_first_token(prompt, terms);
    if (options_.most_first_token_us > 0 && one.predicted_us > options_.most_first_token_us) {
      ++result_.refused;
      return;
    }
    const auto id = static_cast<SequenceId>(index + 1);
    if (!scheduler_.add(id, prompt, arrival.prompt_tokens + arrival.new_tokens, terms)) {
      ++result_.refused;
      return;
    }
    result_.prompt_tokens += arrival.prompt_tokens;
    live_.emplace(id, one);
  }

  bool step() {
    std::vector<SequenceId> samples;
    for (const ScheduledEntry& entry : scheduler_.schedule()) {
      if (entry.samples) samples.push_back(entry.id);
      if (entry.starts && live_.at(entry.id).last_token_us == 0) result_.cached_tokens += entry.first_position;
    }
    const int64_t us = costs_.predict(scheduler_.work());
    if (us == 0) return false;
    result_.us += us;
    result_.busy_us += us;
    scheduler_.ran(us);
    for (const SequenceId id : samples) take_token(id);
    return true;
  }

  void take_token(SequenceId id) {
    Live& one = live_.at(id);
    scheduler_.learn(id, 0);
    ++result_.new_tokens;
    if (one.last_token_us == 0) {
      const int64_t first = result_.us - one.arrival_us;
      result_.first_tokens.push_back(first);
      result_.slowdowns.push_back(static_cast<double>(first) / static_cast<double>(one.alone_us));
      result_.predictions.push_back(static_cast<double>(one.predicted_us) / static_cast<double>(first));
    } else {
      result_.gaps.push_back(result_.us - one.last_token_us);
    }
    one.last_token_us = result_.us;
    if (--one.tokens_left > 0) return;
    scheduler_.remove(id);
    live_.erase(id);
  }

  const std::span<const Arrival> arrivals_;
  const StepCosts& costs_;
  const SimulationOptions& options_;
  Scheduler scheduler_;
  std::map<SequenceId, Live> live_;
  size_t next_ = 0;
  SimulationResult result_;
};

}  // namespace

SimulationResult simulate(std::span<const Arrival> arrivals, const StepCosts& costs, const SimulationOptions& options) {
  INCIPIT_ASSERT(costs.known());
  return Replay(arrivals, costs, options).run();
}

}  // namespace incipit
