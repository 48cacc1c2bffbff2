// Why a prompt did not start further behind its beginning.
#include "session/prefix_explanation.h"

#include <gtest/gtest.h>

#include "scheduler_simulator.h"

namespace incipit {
namespace {

using Reason = PrefixExplanation::Reason;

/// A scheduler whose samples are all 7.
class Explaining {
 public:
  explicit Explaining(int32_t pages = 64) : scheduler_(limits(pages)) {}

  void add(SequenceId id, const std::vector<int32_t>& prompt, int32_t new_tokens, uint64_t salt = 0) {
    SequenceTerms terms;
    terms.salt = salt;
    terms.explains = true;
    EXPECT_TRUE(scheduler_.add(id, prompt, static_cast<int32_t>(prompt.size()) + new_tokens, terms));
  }
  void step() {
    for (const ScheduledEntry& entry : scheduler_.schedule()) {
      if (entry.starts) explanations_[entry.id] = scheduler_.explanation(entry.id).value();
      if (entry.samples) scheduler_.learn(entry.id, 7);
    }
  }
  /// A prompt that has its first token, and goes.
  PrefixExplanation run(const std::vector<int32_t>& prompt, uint64_t salt = 0) {
    const SequenceId id = next_++;
    add(id, prompt, 1, salt);
    step();
    scheduler_.remove(id);
    return explanations_.at(id);
  }
  const PrefixExplanation& of(SequenceId id) const { return explanations_.at(id); }

 private:
  static SchedulerLimits limits(int32_t pages) {
    SchedulerLimits limits = small_limits();
    limits.prefix_cache = true;
    limits.groups = {{4, 0, pages}};
    return limits;
  }
  Scheduler scheduler_;
  std::map<SequenceId, PrefixExplanation> explanations_;
  SequenceId next_ = 100;
};

void expect_explained(const PrefixExplanation& found, Reason reason, int32_t reused, int32_t position, int32_t own,
                      int32_t held) {
  EXPECT_EQ(found.reason, reason);
  EXPECT_EQ(found.reused, reused);
  EXPECT_EQ(found.position, position);
  EXPECT_EQ(found.own, own);
  EXPECT_EQ(found.held, held);
}

TEST(PrefixExplanation, NamesTheFirstTokenThatDiffers) {
  Explaining cache;
  expect_explained(cache.run(count_up(16)), Reason::ends, 0, 0, 0, -1);
  expect_explained(cache.run(count_up(16)), Reason::last_token, 15, 16, -1, -1);
  std::vector<int32_t> other = count_up(12);
  other[6] = 100;
  expect_explained(cache.run(other), Reason::differs, 6, 6, 100, 6);
  other[0] = 100;
  EXPECT_EQ(cache.run(other).reason, Reason::differs);
  expect_explained(cache.run({0, 1, 2}), Reason::last_token, 2, 3, -1, 3);
  Explaining shorter;
  shorter.run(count_up(6));
  expect_explained(shorter.run(count_up(9)), Reason::ends, 6, 6, 6, -1);
}

TEST(PrefixExplanation, KnowsWhatAnotherSaltHolds) {
  Explaining cache;
  cache.run(count_up(12), 1);
  const PrefixExplanation found = cache.run(count_up(12), 2);
  expect_explained(found, Reason::ends, 0, 0, 0, -1);
  EXPECT_EQ(found.of_other_salt, 12);
}

TEST(PrefixExplanation, RemembersWhatWasEvicted) {
  Explaining cache(8);
  std::vector<int32_t> second = count_up(16), third = count_up(16);
  for (int32_t& token : second) token += 1000;
  for (int32_t& token : third) token += 2000;
  cache.run(count_up(16));
  cache.run(second);
  cache.run(third);
  const PrefixExplanation found = cache.run(count_up(16));
  EXPECT_EQ(found.reason, Reason::evicted);
  EXPECT_LT(found.reused, 15);
  EXPECT_EQ(found.position, 16);
}

TEST(PrefixExplanation, APageThatIsNotFullYetIsNobodyElses) {
  Explaining cache;
  cache.add(1, count_up(6), 10);
  cache.step();
  cache.add(2, {0, 1, 2, 3, 4, 5, 100, 101}, 2);
  cache.step();
  expect_explained(cache.of(2), Reason::page, 4, 6, 100, 7);
}

}  // namespace
}  // namespace incipit
