// Patterns in PCRE2's words against what Oniguruma finds with the ones that they were made of.
#include "tokenizer_compile/oniguruma.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/utf8.h"
#include "text/regex.h"
#include "tokenizer_testing.h"

namespace incipit {
namespace {

/// Nothing where the pattern is refused, in one line that names it.
std::optional<Regex> translated(std::string_view pattern) {
  try {
    return Regex(pcre2_pattern_from_oniguruma(pattern, "x.json"), "x.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.thing(), "x.json") << pattern;
    return std::nullopt;
  }
}

std::vector<std::string> matches(const Regex& regex, std::string_view text) {
  std::vector<std::string> found;
  for_each_span(regex, text, [&](TextRange range, bool is_match) {
    if (is_match && range.begin != range.end) found.emplace_back(text.substr(range.begin, range.end - range.begin));
  });
  return found;
}

boost::json::value patterns() {
  return boost::json::parse(read_text_file(source_path("tests/fixtures/text/oniguruma_patterns.json")));
}

// Whatever is not refused means the same there and here.
TEST(Oniguruma, PatternsFindWhatTheyFindThere) {
  const boost::json::value all = patterns();
  const auto texts = boost::json::value_to<std::vector<std::string>>(all.at("texts"));
  size_t refused = 0;
  for (const boost::json::value& entry : all.at("patterns").as_array()) {
    const auto pattern = boost::json::value_to<std::string>(entry.at("pattern"));
    const std::optional<Regex> regex = translated(pattern);
    refused += regex ? 0 : 1;
    if (!regex) continue;
    const auto expected = boost::json::value_to<std::vector<std::vector<std::string>>>(entry.at("matches"));
    for (size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(matches(*regex, texts[i]), expected[i]) << pattern << " in " << texts[i];
    }
  }
  EXPECT_LE(refused, 86);
}

// The two libraries know different versions of Unicode; these characters have not changed since the older one.
TEST(Oniguruma, ClassesHoldTheCharactersThatTheyHoldThere) {
  const boost::json::value all = patterns();
  size_t seen = 0;
  for (const auto& [name, ranges] : all.at("sets").as_object()) {
    const std::string pattern(name.data(), name.size());
    const std::optional<Regex> regex = translated(pattern);
    if (!regex) continue;
    std::vector<bool> expected(0x20000, false);
    for (const boost::json::value& range : ranges.as_array()) {
      for (int64_t c = range.at(0).as_int64(); c <= range.at(1).as_int64(); ++c)
        expected[static_cast<size_t>(c)] = true;
    }
    for (const auto& [first, last] : {std::pair(0, 0x362), {0x3041, 0x30ff}, {0x4e00, 0x4eff}, {0xac00, 0xac7f}}) {
      for (int c = first; c <= last; ++c) {
        if ((c >= 0x3097 && c <= 0x3098)) continue;  // unassigned
        std::string text;
        append_utf8(text, static_cast<uint32_t>(c));
        EXPECT_EQ(regex->find(text, 0).has_value(), expected[static_cast<size_t>(c)])
            << pattern << fmt::format(" {:x}", c);
      }
    }
    ++seen;
  }
  EXPECT_GE(seen, 25);
}

}  // namespace
}  // namespace incipit
