#include "session/step_turns.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace incipit {

void StepTurns::want(Engine engine, const StepWish& wish, int64_t now) {
  INCIPIT_ASSERT(engine >= 0 && engine < engines_);
  const auto [place, is_new] = wanting_.try_emplace(engine);
  place->second.wish = wish;
  if (!is_new) return;
  place->second.last = now;
  shares_.enter(static_cast<uint64_t>(engine), 1);
}

void StepTurns::rest(Engine engine) {
  if (wanting_.erase(engine) > 0) shares_.leave(static_cast<uint64_t>(engine));
}

void StepTurns::ran(Engine engine, int64_t us, int64_t now) {
  for (auto& [other, one] : wanting_) one.waited = other != engine;
  wanting_.at(engine).last = now;
  shares_.charge(static_cast<uint64_t>(engine), us);
}

int64_t StepTurns::gap() const {
  const bool streams = std::ranges::any_of(wanting_, [](const auto& entry) { return entry.second.wish.streams; });
  return max_gap_us_ * (streams ? 1 : 2);
}

int64_t StepTurns::longest(Engine engine, int64_t now) const {
  if (max_gap_us_ == 0) return INT64_MAX;
  std::vector<std::pair<int64_t, int64_t>> others;  // when each came last, and its least step
  for (const auto& [other, one] : wanting_) {
    if (other != engine) others.emplace_back(one.last, one.wish.least_us);
  }
  std::ranges::sort(others);
  const Wanting& own = wanting_.at(engine);
  // What one that nobody keeps waiting may take is its scheduler's business.
  const bool bound = own.wish.streams && (own.waited || !others.empty());
  int64_t longest = bound ? own.last + gap() - now : INT64_MAX;
  int64_t before = 0;
  for (const auto& [last, least_us] : others) {
    before += least_us;
    longest = std::min(longest, last + gap() - now - before);
  }
  return std::max<int64_t>(longest, 0);
}

StepTurns::Engine StepTurns::next(int64_t now) const {
  if (wanting_.empty()) return nobody;
  const auto had = [&](const auto& entry) {
    return std::pair(shares_.counter(static_cast<uint64_t>(entry.first)), entry.second.last);
  };
  const auto poorest = std::ranges::min_element(wanting_, {}, had);
  if (longest(poorest->first, now) >= poorest->second.wish.least_us) return poorest->first;
  return std::ranges::min_element(wanting_, {}, [](const auto& entry) { return entry.second.last; })->first;
}

}  // namespace incipit
