#include "text/normalizer.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "text/nfc.h"

namespace incipit {
namespace {

std::string nfc(std::string_view text) { return to_nfc(text); }

// From NormalizationTest.txt of Unicode 14 and UAX 15's examples.
TEST(Normalizer, CanonicalComposition) {
  EXPECT_EQ(nfc("e\u0301"), "é");
  EXPECT_EQ(nfc("\u0041\u030a \u212b"), "\u00c5 \u00c5");
  EXPECT_EQ(nfc("\u1e9b\u0323"), "\u1e9b\u0323");
  EXPECT_EQ(nfc("\u1e0a\u0323"), "\u1e0c\u0307");
  EXPECT_EQ(nfc("q\u0307\u0323"), "q\u0323\u0307");
  EXPECT_EQ(nfc("\u1100\u1161\u11a8 \u1100\uac00\u11a8 \uac01\u11a8"), "\uac01 \u1100\uac01 \uac01\u11a8");
  EXPECT_EQ(nfc("\u0958 \ufb1d \u2126 \uf900"), "\u0915\u093c \u05d9\u05b4 \u03a9 \u8c48");
  EXPECT_EQ(nfc("a\u0305\u0315\u0300\u05aeb"), "a\u05ae\u0305\u0300\u0315b");
  EXPECT_EQ(nfc("\u0344 \u0f73\u0f75"), "\u0308\u0301 \u0f71\u0f71\u0f72\u0f74");
  EXPECT_EQ(nfc("\U0001d15f \U00011099\U000110ba"), "\U0001d158\U0001d165 \U0001109a");
}

TEST(Normalizer, BrokenBytesStay) {
  EXPECT_EQ(nfc("e\xff\u0301"), "e\xff\u0301");
  EXPECT_EQ(nfc("e\u0301\xe2\x82"), "é\xe2\x82");
}

TEST(Normalizer, WhatIsSurelyComposed) {
  EXPECT_TRUE(is_surely_nfc("plain, naïve"));
  EXPECT_FALSE(is_surely_nfc("e\u0301"));
}

std::string normalized(const std::vector<NormalizerStep>& steps, std::string_view text, bool first = true) {
  const Normalizer normalizer(steps, "test");
  const std::string result = normalizer.normalize(text, first);
  if (normalizer.leaves_alone(text)) {
    EXPECT_EQ(result, text);
  }
  return result;
}

TEST(Normalizer, Steps) {
  using Kind = NormalizerStepKind;
  EXPECT_EQ(normalized({}, "as it is"), "as it is");
  EXPECT_EQ(normalized({{Kind::prepend, {}, "_"}, {Kind::replace, " ", "_"}}, " a b"), "__a_b");
  EXPECT_EQ(normalized({{Kind::prepend, {}, "_"}}, ""), "");
  EXPECT_EQ(normalized({{Kind::prepend_first, {}, "_"}}, "a"), "_a");
  EXPECT_EQ(normalized({{Kind::prepend_first, {}, "_"}}, "a", false), "a");
  EXPECT_EQ(normalized({{Kind::replace_pattern, " {2,}", "$0"}}, "a   b c"), "a$0b c");
  EXPECT_EQ(normalized({{Kind::replace_pattern, "x*", "-"}}, "axb"), "-a-b-");
  EXPECT_EQ(normalized({{Kind::replace_pattern, "a", "b"}},
                       "a\xff\xe2\x82"
                       "a"),
            "b\xff\xe2\x82"
            "b");
  EXPECT_EQ(normalized({{Kind::strip_left, {}, {}}}, "\u3000\n a "), "a ");
  EXPECT_EQ(normalized({{Kind::strip_right, {}, {}}}, " a\u00a0\n\u3000"), " a");
  EXPECT_EQ(normalized({{Kind::strip_left, {}, {}}, {Kind::strip_right, {}, {}}}, " \n "), "");
}

TEST(Normalizer, StepsThatMultiplyEndInAnError) {
  const std::vector<NormalizerStep> steps(40, {NormalizerStepKind::replace, "a", "aa"});
  EXPECT_EQ(normalized(steps, "b"), "b");
  EXPECT_THROW(normalized(steps, "a"), Error);
}

}  // namespace
}  // namespace incipit
