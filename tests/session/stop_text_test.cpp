#include "session/stop_text.h"

#include <gtest/gtest.h>

#include <random>

namespace incipit {
namespace {

TEST(StopTextFilter, PassesEverythingThroughWithoutStops) {
  StopTextFilter filter;
  EXPECT_EQ(filter.push("a"), "a");
  EXPECT_EQ(filter.push(""), "");
  EXPECT_EQ(filter.flush(), "");
  EXPECT_FALSE(filter.stopped());
}

TEST(StopTextFilter, HoldsBackOnlyWhatMayBecomeAStop) {
  StopTextFilter filter({"\n\n"});
  EXPECT_EQ(filter.push("one\n"), "one");
  EXPECT_EQ(filter.push("two\n"), "\ntwo");
  EXPECT_EQ(filter.push("\nthree"), "");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.push("more"), "");
  EXPECT_EQ(filter.flush(), "");
}

TEST(StopTextFilter, GivesBackWhatItHeldAtTheEnd) {
  StopTextFilter filter({"END"});
  EXPECT_EQ(filter.push("the EN"), "the ");
  EXPECT_EQ(filter.flush(), "EN");
  EXPECT_FALSE(filter.stopped());
}

TEST(StopTextFilter, TakesTheFirstToBeComplete) {
  StopTextFilter filter({"abcd", "b"});
  EXPECT_EQ(filter.push("xabcd"), "xa");
  EXPECT_TRUE(filter.stopped());
}

TEST(StopTextFilter, RestartsInsideARepetition) {
  StopTextFilter filter({"aab"});
  EXPECT_EQ(filter.push("aa"), "");
  EXPECT_EQ(filter.push("a"), "a");
  EXPECT_EQ(filter.push("b"), "");
  EXPECT_TRUE(filter.stopped());
}

TEST(StopTextFilter, IsTheSameHoweverTheTextIsCut) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    const auto letters = [&](size_t length) {
      std::string text;
      for (size_t i = 0; i < length; ++i) text += "ab"[random() % 2];
      return text;
    };
    const std::string text = letters(24);
    const std::vector<std::string> stops{letters(1 + random() % 6), letters(1 + random() % 6)};
    StopTextFilter whole(stops), pieces(stops);
    std::string expected = whole.push(text), found;
    expected += whole.flush();
    for (size_t at = 0; at < text.size();) {
      const size_t length = 1 + random() % 4;
      found += pieces.push(text.substr(at, length));
      at += length;
    }
    found += pieces.flush();
    EXPECT_EQ(found, expected);
    EXPECT_EQ(pieces.stopped(), whole.stopped());
    if (whole.stopped()) {
      EXPECT_EQ(text.substr(0, expected.size()), expected);
    } else {
      EXPECT_EQ(expected, text);
    }
  }
}

TEST(StopTextFilter, FindsWhatIsNotShown) {
  StopTextFilter filter({}, {"\n<user>"});
  EXPECT_EQ(filter.push("one\n"), "one");
  EXPECT_EQ(filter.push_hidden("<end>"), "\n");
  EXPECT_EQ(filter.push("two\n"), "two");
  EXPECT_EQ(filter.push_hidden("<user>"), "");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.push("three"), "");
  EXPECT_EQ(filter.flush(), "");
}

TEST(StopTextFilter, HidesWhatItHeldBack) {
  StopTextFilter filter({}, {"<a>x<b>"});
  EXPECT_EQ(filter.push_hidden("<a>"), "");
  EXPECT_EQ(filter.push("x"), "");
  EXPECT_EQ(filter.flush(), "x");
  EXPECT_FALSE(filter.stopped());
}

TEST(StopTextFilter, OtherStopsSeeOnlyWhatIsShown) {
  StopTextFilter filter({"end", "xy"}, {"<a><b>"});
  EXPECT_EQ(filter.push_hidden("<end>"), "");
  EXPECT_EQ(filter.push("1x"), "1");
  EXPECT_EQ(filter.push_hidden("<a>"), "");
  EXPECT_EQ(filter.push("y2"), "");
  EXPECT_TRUE(filter.stopped());
  StopTextFilter without({"end"});
  EXPECT_EQ(without.push_hidden("end"), "");
  EXPECT_FALSE(without.stopped());
}

}  // namespace
}  // namespace incipit
