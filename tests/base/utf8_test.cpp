#include "base/utf8.h"

#include <gtest/gtest.h>

namespace incipit {
namespace {

std::string lossy(std::string_view bytes) {
  std::string text;
  EXPECT_EQ(append_lossy_utf8(text, bytes, true), bytes.size());
  return text;
}

TEST(Utf8, EveryCharacterSurvives) {
  for (uint32_t code_point = 0; code_point < 0x110000; ++code_point) {
    if (code_point >= 0xd800 && code_point < 0xe000) continue;
    std::string text;
    append_utf8(text, code_point);
    ASSERT_EQ(valid_utf8_prefix(text), text.size());
    ASSERT_EQ(utf8_unit_at(text, 0).code_point, code_point);
    ASSERT_EQ(code_point_before(text, text.size()), code_point);
  }
}

// Unicode 15, tables 3-8 to 3-11: what becomes of maximal subparts.
TEST(Utf8, BrokenBytesBecomeReplacementCharacters) {
  const std::string r = "\xef\xbf\xbd";
  EXPECT_EQ(lossy("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(lossy("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(lossy("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42"), r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(lossy("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41"), r + r + r + r + "A");
}

TEST(Utf8, ACutOffCharacterWaits) {
  std::string text;
  EXPECT_EQ(append_lossy_utf8(text, "ab\xf0\x9f\x98", false), 2);
  EXPECT_EQ(text, "ab");
  EXPECT_EQ(append_lossy_utf8(text, "\xf0\x9f\x98\x80\xf0", false), 4);
  EXPECT_EQ(text, "ab😀");
  EXPECT_EQ(append_lossy_utf8(text, "\xf0\x9f\x98", true), 3);
  EXPECT_EQ(text, "ab😀\xef\xbf\xbd");
}

TEST(Utf8, ValidPrefixEndsAtTheFirstFault) {
  EXPECT_EQ(valid_utf8_prefix("0123456789"), 10);
  EXPECT_EQ(valid_utf8_prefix("01234567é\xff"), 10);
  EXPECT_EQ(valid_utf8_prefix("0123456\xc3"), 7);
}

TEST(Utf8, CodePointBeforeBrokenBytes) {
  EXPECT_EQ(code_point_before("", 0), 0);
  EXPECT_EQ(code_point_before("\x80", 1), 0xfffd);
  EXPECT_EQ(code_point_before("\xe2\x80\x80\x80", 4), 0xfffd);
  EXPECT_EQ(code_point_before("\xe2\x80\x80", 3), 0x2000);
}

}  // namespace
}  // namespace incipit
