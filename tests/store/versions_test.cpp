// The rules by which a model's versions change, in random histories.
#include "store/versions.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <random>

#include "base/error.h"
#include "base/json.h"
#include "support/message_of.h"

namespace incipit {
namespace {

using testing::HasSubstr;

/// A model's versions with the audit that led to them.
struct Played {
  ModelVersions now;
  std::vector<AuditRecord> audit;

  void play(AuditRecord record) {
    record.number = now.records() + 1;
    record.unix_time = 1'700'000'000 + record.number;
    record.actor = "somebody@somewhere";
    now.apply(record);
    audit.push_back(std::move(record));
  }
  VersionState state(int64_t number) const { return now.find(number)->state; }
};

/// Versions 1 (retired), 2 (standby), 3 (live) and 4 (verified).
Played four_versions() {
  Played played;
  for (const char* const digest : {"aa", "bb", "cc", "dd"}) {
    played.play(played.now.add(digest, "tag"));
    const int64_t number = played.now.versions().back().number;
    played.play(played.now.verify(number, true, true, "", {{"golden", "passed"}}));
    if (number < 4) played.play(played.now.promote(number, 0, false));
  }
  return played;
}

TEST(Versions, PromotionMakesTheLiveOneStandby) {
  Played played = four_versions();
  EXPECT_EQ(played.state(1), VersionState::retired);
  EXPECT_EQ(played.state(2), VersionState::standby);
  EXPECT_EQ(played.state(3), VersionState::live);
  EXPECT_EQ(played.state(4), VersionState::verified);
  EXPECT_EQ(played.now.find(4)->evidence.at("golden"), "passed");
}

TEST(Versions, RollbackEndsTheCanaryAndThenTheLiveOne) {
  Played played = four_versions();
  played.play(played.now.promote(4, 5, false));
  EXPECT_EQ(played.now.canary_percent(), 5);
  played.play(played.now.promote(4, 20, false));
  EXPECT_EQ(played.now.canary_percent(), 20);
  played.play(played.now.rollback("too slow"));
  EXPECT_EQ(played.state(4), VersionState::rolled_back);
  EXPECT_EQ(played.now.find(4)->reason, "too slow");
  EXPECT_EQ(played.state(3), VersionState::live);
  EXPECT_EQ(played.now.canary_percent(), 0);
  played.play(played.now.rollback("wrong"));
  EXPECT_EQ(played.state(3), VersionState::rolled_back);
  EXPECT_EQ(played.state(2), VersionState::live);
  EXPECT_THAT(message_of([&] { played.now.rollback(""); }), HasSubstr("no version stands by"));
}

TEST(Versions, WithdrawingTheLiveOneLeavesTheCanary) {
  Played played = four_versions();
  played.play(played.now.promote(4, 5, false));
  played.play(played.now.withdraw(3, "altered weights"));
  EXPECT_EQ(played.state(3), VersionState::rolled_back);
  EXPECT_EQ(played.state(2), VersionState::live);
  EXPECT_EQ(played.state(4), VersionState::canary);
  EXPECT_EQ(played.now.canary_percent(), 5);
  EXPECT_TRUE(played.now.withdraw(1, "it does not serve").changes.empty());
  EXPECT_THAT(message_of([&] { played.now.withdraw(2, "altered, too"); }), HasSubstr("no version stands by"));
}

TEST(Versions, WhatIsNotProvenIsNotPromotedUnlessThatIsWanted) {
  Played played = four_versions();
  played.play(played.now.add("ee", ""));
  EXPECT_THAT(message_of([&] { played.now.promote(5, 0, false); }), HasSubstr("is staged"));
  played.play(played.now.verify(5, false, true, "golden logits differ", {}));
  EXPECT_EQ(played.state(5), VersionState::rejected);
  EXPECT_THAT(message_of([&] { played.now.promote(5, 0, false); }), HasSubstr("is rejected"));
  played.play(played.now.promote(5, 0, true));
  EXPECT_EQ(played.state(5), VersionState::live);
  EXPECT_EQ(played.now.find(5)->reason, "");
}

TEST(Versions, OneCanaryAtATimeAndNoneWithoutALiveVersion) {
  Played played;
  played.play(played.now.add("aa", ""));
  EXPECT_THAT(message_of([&] { played.now.promote(1, 5, true); }), HasSubstr("no version is live"));
  played = four_versions();
  played.play(played.now.promote(4, 5, false));
  EXPECT_THAT(message_of([&] { played.now.promote(2, 0, false); }), HasSubstr("while version 4 is a canary"));
  EXPECT_THAT(message_of([&] { played.now.promote(3, 0, false); }), HasSubstr("is live already"));
  EXPECT_THAT(message_of([&] { played.now.promote(9, 0, false); }), HasSubstr("is not in the store"));
  EXPECT_THAT(message_of([&] { played.now.add("cc", ""); }), HasSubstr("version 3: is this engine already"));
}

TEST(Versions, InconclusiveGatesChangeNoState) {
  Played played = four_versions();
  played.play(played.now.verify(4, false, false, "", {{"speed", "inconclusive"}}));
  EXPECT_EQ(played.state(4), VersionState::verified);
  EXPECT_EQ(played.now.find(4)->evidence.at("speed"), "inconclusive");
}

TEST(Versions, ARecordThatDoesNotFollowIsRefused) {
  Played played = four_versions();
  AuditRecord record = played.now.promote(4, 0, false);
  record.number = played.now.records() + 2;
  EXPECT_THAT(message_of([&] { played.now.apply(record); }), HasSubstr("does not follow"));
  record.number = played.now.records() + 1;
  record.changes = {{4, "dd", "verified", VersionState::live}};
  EXPECT_THAT(message_of([&] { played.now.apply(record); }), HasSubstr("more than one is live"));
  record.changes = {{4, "dd", "staged", VersionState::verified}};
  EXPECT_THAT(message_of([&] { played.now.apply(record); }), HasSubstr("changes what was not so"));
  EXPECT_THAT(message_of([] {
                ModelVersions::from_json(parse_json(R"({"versions":[{"version":1,"state":"hot"}]})", "it"), "it");
              }),
              HasSubstr("'digest' is missing"));
}

/// One random action; what the rules refuse changes nothing.
void play_randomly(Played& played, std::mt19937& random) {
  const auto below = [&](int64_t bound) { return std::uniform_int_distribution<int64_t>(0, bound - 1)(random); };
  const int64_t number = 1 + below(std::max<int64_t>(1, played.now.next_number()));
  try {
    switch (below(7)) {
      case 0: played.play(played.now.add(fmt::format("{:x}", below(40)), below(2) == 0 ? "" : "nightly")); break;
      case 1: played.play(played.now.verify(number, below(4) != 0, below(5) != 0, "why", {{"speed", 1.0}})); break;
      case 2: played.play(played.now.promote(number, 0, below(3) == 0)); break;
      case 3: played.play(played.now.promote(number, 0.5 + static_cast<double>(below(99)), below(3) == 0)); break;
      case 4: played.play(played.now.rollback("found wanting")); break;
      case 5:
        if (AuditRecord record = played.now.withdraw(number, "found wanting"); !record.changes.empty()) {
          played.play(std::move(record));
        }
        break;
      default:
        if (AuditRecord record = played.now.collect(); below(8) == 0 && !record.changes.empty()) {
          played.play(std::move(record));
        }
    }
  } catch (const Error&) {
  }
}

TEST(Versions, RandomHistoriesHaveOneLiveVersionAndReplay) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    Played played;
    bool was_live = false;
    for (int i = 0; i < 120; ++i) {
      play_randomly(played, random);
      const auto live = std::ranges::count(played.now.versions(), VersionState::live, &StoredVersion::state);
      was_live = was_live || live == 1;
      ASSERT_EQ(live, was_live ? 1 : 0);
    }
    const std::string text = boost::json::serialize(played.now.to_json());
    ModelVersions replayed;
    for (const AuditRecord& record : played.audit) {
      const std::string line = boost::json::serialize(to_json(record));
      const AuditRecord read = audit_record_from(parse_json(line, "a line"), "a line");
      ASSERT_EQ(read, record);
      replayed.apply(read);
    }
    ASSERT_EQ(boost::json::serialize(replayed.to_json()), text);
    ASSERT_EQ(boost::json::serialize(ModelVersions::from_json(parse_json(text, "the state"), "the state").to_json()),
              text);
  }
}

}  // namespace
}  // namespace incipit
