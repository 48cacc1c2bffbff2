#include "base/error.h"

#include <gtest/gtest.h>

namespace incipit {
namespace {

TEST(ErrorTest, SaysThingFaultRemedyInOneLine) {
  const Error error("config.json", "head_dim is 0", "give a positive one");
  EXPECT_STREQ(error.what(), "config.json: head_dim is 0; give a positive one");
  EXPECT_EQ(error.thing(), "config.json");
  EXPECT_EQ(error.fault(), "head_dim is 0");
  EXPECT_EQ(error.remedy(), "give a positive one");
  EXPECT_STREQ(Error("", "interrupted").what(), "interrupted");
  EXPECT_STREQ(Error("a\nb\x1b[31m", "bad").what(), "a b [31m: bad");
}

TEST(ErrorDeathTest, AssertionNamesTheCondition) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(INCIPIT_ASSERT(1 + 1 == 3), "internal error: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace incipit
