#include "text/normalizer.h"

#include <gtest/gtest.h>

namespace incipit {
namespace {

std::string nfc(std::string_view text) { return normalize(NormalizerKind::nfc, text); }

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

TEST(Normalizer, WhatIsSurelyNormalized) {
  EXPECT_TRUE(is_surely_normalized(NormalizerKind::nfc, "plain, naïve"));
  EXPECT_FALSE(is_surely_normalized(NormalizerKind::nfc, "e\u0301"));
  EXPECT_TRUE(is_surely_normalized(NormalizerKind::none, "e\u0301"));
}

}  // namespace
}  // namespace incipit
