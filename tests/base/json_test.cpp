// JSON as Python's json module reads it.
#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <limits>

#include "support/message_of.h"

namespace incipit {
namespace {

using testing::HasSubstr;

boost::json::value read(std::string_view text) { return parse_json(text, "it", LargeIntegers::kept); }

std::string refusal(std::string_view text) {
  return message_of([&] { read(text); });
}

TEST(Json, ReadsTheNumbersThatPythonWritesBesideJson) {
  const boost::json::value read_back =
      read("{\"a\": [NaN, Infinity,-Infinity , -1.5], \"NaN\": \"Infinity \\\" NaN\",\n\"b\":NaN}");
  EXPECT_TRUE(std::isnan(read_back.at("a").at(0).as_double()));
  EXPECT_EQ(read_back.at("a").at(1), std::numeric_limits<double>::infinity());
  EXPECT_EQ(read_back.at("a").at(2), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(read_back.at("a").at(3), -1.5);
  EXPECT_EQ(read_back.at("NaN"), "Infinity \" NaN");
  EXPECT_TRUE(std::isnan(read_back.at("b").as_double()));
  EXPECT_TRUE(std::isnan(read("NaN").as_double()));
  // Python refuses all of these.
  for (const char* text : {"nan", "-NaN", "+Infinity", "Inf", "Infinity1", "1Infinity", "[NaN", "NaNNaN", "-Infinity.5",
                           "[Infinity 0]", "{NaN: 1}"}) {
    EXPECT_THAT(refusal(text), HasSubstr("is not valid JSON")) << text;
  }
  EXPECT_THAT(refusal("[NaN,\n,]"), HasSubstr("line 2"));
}

// Each is what Python's json.loads gives, written as its repr.
TEST(Json, RoundsFloatsToTheNearest) {
  EXPECT_EQ(read("0.08838834764831845").as_double(), 0.08838834764831845);
  EXPECT_EQ(read("9007199254740993.0").as_double(), 9007199254740992.0);
  EXPECT_EQ(read("1.7976931348623157e308").as_double(), 1.7976931348623157e308);
  EXPECT_EQ(read("5e-324").as_double(), 5e-324);
  EXPECT_EQ(read("2.2250738585072011e-308").as_double(), 2.2250738585072011e-308);
  EXPECT_EQ(read("123456789012345678.5e-30").as_double(), 123456789012345678.5e-30);
  EXPECT_EQ(read("0e999").as_double(), 0);
  EXPECT_EQ(read("1e-999").as_double(), 0);
  EXPECT_EQ(read("-1e999").as_double(), -std::numeric_limits<double>::infinity());
}

TEST(Json, KeepsLargeIntegersWhereTheyAreWanted) {
  EXPECT_EQ(read("9223372036854775807"), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(read("-9223372036854775808"), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(read("18446744073709551615"), std::numeric_limits<uint64_t>::max());
  for (const char* digits : {"18446744073709551616", "-9223372036854775809", "1000000000000000019884624838656"}) {
    const boost::json::value kept = read(digits);
    EXPECT_EQ(large_integer(kept), digits);
    EXPECT_EQ(kind_name(kept), "an integer beyond 64 bits");
    EXPECT_FALSE(large_integer(parse_json(digits, "it")).has_value());
  }
  EXPECT_EQ(parse_json("1000000000000000019884624838656", "it"), 1e30);
  EXPECT_EQ(large_integer(read(R"({"a": "1"})")), std::nullopt);
}

TEST(Json, PassesOverAByteOrderMark) {
  EXPECT_EQ(read("\xef\xbb\xbf[1]").at(0), 1);
  EXPECT_THAT(refusal("\xef\xbb\xbf\n]"), HasSubstr("line 2"));
  EXPECT_THAT(refusal("[\xef\xbb\xbf]"), HasSubstr("not valid JSON"));
}

TEST(Json, RefusesHalfACharacter) {
  EXPECT_EQ(read(R"("\ud83d\ude00")"), "\xf0\x9f\x98\x80");
  for (const char* text : {R"("\ud83d")", R"("\ude00")", R"("\ud83dx")", R"("\ud83d\ud83d")", R"({"\ud83d": 1})",
                           "\"\xed\xa0\xbd\"", "\"\xff\""}) {
    EXPECT_THAT(refusal(text), HasSubstr("not valid JSON")) << text;
  }
}

TEST(Json, SaysWhatIsWrongAndWhereOnce) {
  for (const char* text : {R"("\ud83d")", R"("\ude00")", R"("\uD83Dx")", R"("\ud83d\n")", R"("\ud83d\ud83d")"}) {
    EXPECT_THAT(refusal(text),
                testing::MatchesRegex("it: is not valid JSON: half a surrogate pair at byte .*; mend it"))
        << text;
  }
  for (const char* bytes : {"\xed\xa0\xbd", "\xff", "\xc3", "\xc3("}) {
    EXPECT_EQ(refusal(std::string("[\"") + bytes + "\"]"), "it: is not valid JSON: no UTF-8 at byte 3; mend it");
  }
  EXPECT_EQ(refusal("[\n\"\xff\"]"), "it: is not valid JSON: no UTF-8 in line 2; mend it");
  EXPECT_THAT(refusal("[1 2 \"\xff\"]"), HasSubstr("syntax error at byte 4"));
  EXPECT_THAT(refusal("[1,"), HasSubstr("incomplete JSON at byte"));
}

TEST(Json, BoundsItsDepth) {
  const std::string fits = std::string(100, '[') + std::string(100, ']');
  EXPECT_NO_THROW(read(fits));
  EXPECT_THAT(refusal("[" + fits + "]"), HasSubstr("too deep"));
}

}  // namespace
}  // namespace incipit
