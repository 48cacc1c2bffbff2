// What is missing, malformed or unsupported in a tokenizer.json is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>

#include "base/error.h"
#include "support/temporary_directory.h"
#include "text/regex.h"
#include "tokenizer_compile/compile_tokenizer.h"
#include "tokenizer_compile/oniguruma.h"
#include "tokenizer_testing.h"

namespace incipit {
namespace {

using boost::json::value;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string refusal(const std::string& json) {
  try {
    compile_tokenizer_json(json, "x/tokenizer.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.thing().substr(0, 16), "x/tokenizer.json");
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
    return error.what();
  }
  return "accepted";
}

/// The refusal of the small tokenizer with the value at `pointer` replaced, or removed when nothing is given.
std::string refusal_with(const std::string& pointer, const std::optional<value>& replacement) {
  value document = boost::json::parse(small_tokenizer_json());
  const size_t slash = pointer.rfind('/');
  value& parent = slash == 0 ? document : document.at_pointer(pointer.substr(0, slash));
  const std::string name = pointer.substr(slash + 1);
  if (parent.is_array()) {
    parent.as_array()[std::stoul(name)] = replacement.value();
  } else if (replacement) {
    parent.as_object()[name] = *replacement;
  } else {
    parent.as_object().erase(name);
  }
  return refusal(boost::json::serialize(document));
}

TEST(CompileTokenizer, AcceptsTheSmallOne) { EXPECT_EQ(refusal(small_tokenizer_json()), "accepted"); }

TEST(CompileTokenizer, NotJson) {
  EXPECT_THAT(refusal(""), HasSubstr("is not valid JSON"));
  EXPECT_THAT(refusal("{\"a\": 1,}"), HasSubstr("is not valid JSON"));
  EXPECT_THAT(refusal("{} {}"), HasSubstr("is not valid JSON"));
  EXPECT_THAT(refusal("{\"\xff\": 1}"), HasSubstr("is not valid JSON"));
  EXPECT_THAT(refusal(std::string(100'000, '[')), HasSubstr("is not valid JSON"));
  EXPECT_THAT(refusal("[]"), HasSubstr("the document is not an object"));
}

TEST(CompileTokenizer, EveryTruncationIsRefused) {
  const std::string json = small_tokenizer_json();
  for (size_t size = 0; size < json.size(); size += 53) EXPECT_NE(refusal(json.substr(0, size)), "accepted") << size;
}

TEST(CompileTokenizer, MissingParts) {
  EXPECT_THAT(refusal_with("/model", {}), HasSubstr("model is missing"));
  EXPECT_THAT(refusal_with("/model/vocab", {}), HasSubstr("model.vocab is missing"));
  EXPECT_THAT(refusal_with("/model/merges", {}), HasSubstr("model.merges is missing"));
  EXPECT_THAT(refusal_with("/pre_tokenizer", {}), HasSubstr("decoder is of type ByteLevel, which is not supported"));
  EXPECT_THAT(refusal_with("/decoder", nullptr), HasSubstr("exactly one ByteLevel in its decoder"));
  EXPECT_THAT(refusal_with("/added_tokens/0/content", {}), HasSubstr("added_tokens[0].content is missing"));
  EXPECT_THAT(refusal_with("/added_tokens", {}),
              HasSubstr("post_processor.special_tokens.<s>.ids[0] is 263, which no token has"));
}

TEST(CompileTokenizer, WrongTypes) {
  EXPECT_THAT(refusal_with("/model", value(1)), HasSubstr("model is not an object"));
  EXPECT_THAT(refusal_with("/model/vocab", value("x")), HasSubstr("model.vocab is not an object"));
  EXPECT_THAT(refusal_with("/model/merges", value("x")), HasSubstr("model.merges is not a list"));
  EXPECT_THAT(refusal_with("/added_tokens", value("x")), HasSubstr("added_tokens is not a list"));
  EXPECT_THAT(refusal_with("/added_tokens/1/id", value("x")), HasSubstr("added_tokens[1].id is not an integer"));
  EXPECT_THAT(refusal_with("/added_tokens/1/id", value(1.5)), HasSubstr("added_tokens[1].id is not an integer"));
  EXPECT_THAT(refusal_with("/added_tokens/1/lstrip", value(1)), HasSubstr("lstrip is neither true nor false"));
  EXPECT_THAT(refusal_with("/normalizer/type", value(1)), HasSubstr("normalizer.type is not a string"));
}

TEST(CompileTokenizer, Ids) {
  EXPECT_THAT(refusal_with("/model/vocab/th", value(-1)), HasSubstr("gives \"th\" an id that is no integer"));
  EXPECT_THAT(refusal_with("/model/vocab/th", value(1e3)), HasSubstr("gives \"th\" an id that is no integer"));
  EXPECT_THAT(refusal_with("/model/vocab/th", value(4'000'000'000)), HasSubstr("gives \"th\" an id that is no"));
  EXPECT_THAT(refusal_with("/model/vocab/th", value(3'000'000)), HasSubstr("gives \"th\" an id that is no integer"));
  EXPECT_THAT(refusal_with("/model/vocab/th", value(0)), HasSubstr("gives the id 0 twice"));
  EXPECT_THAT(refusal_with("/added_tokens/1/id", value(263)), HasSubstr("is 263, which another token has already"));
  EXPECT_THAT(refusal_with("/added_tokens/1/id", value(0)), HasSubstr("is 0, which another token has already"));
  EXPECT_THAT(refusal_with("/added_tokens/1/id", value(3'000'000)),
              HasSubstr("added_tokens[1].id is 3000000, outside"));
  EXPECT_THAT(refusal_with("/added_tokens/1/content", value("th")), HasSubstr("but \"th\" already has the id 256"));
}

TEST(CompileTokenizer, GapsInIdsAreNothing) {
  value document = boost::json::parse(small_tokenizer_json());
  document.at("added_tokens").at(1).as_object()["id"] = 300;
  const auto tokenizer = tokenizer_from_json(boost::json::serialize(document));
  EXPECT_EQ(tokenizer->vocab_size(), 301);
  EXPECT_EQ(tokenizer->token_bytes(299), "");
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{299, 300}, false), "<e>");
}

TEST(CompileTokenizer, Merges) {
  EXPECT_THAT(refusal_with("/model/merges/0", value("th")), HasSubstr("model.merges[0] is not a pair of tokens"));
  EXPECT_THAT(refusal_with("/model/merges/0", value("t h e")), HasSubstr("model.merges[0] is not a pair of tokens"));
  EXPECT_THAT(refusal_with("/model/merges/0", value(1)), HasSubstr("model.merges[0] is not a pair of tokens"));
  EXPECT_THAT(refusal_with("/model/merges/0", value("t x")),
              HasSubstr("model.merges[0] needs \"tx\", which is not in"));
  EXPECT_THAT(refusal_with("/model/merges/0", value("t 語")), HasSubstr("model.merges[0] needs \"語\""));
}

TEST(CompileTokenizer, WhatIsNotSupported) {
  EXPECT_THAT(refusal_with("/model/type", value("Unigram")),
              HasSubstr("model.type is Unigram, which is not supported"));
  EXPECT_THAT(refusal_with("/model/dropout", value(0.1)), HasSubstr("model.dropout is set"));
  EXPECT_EQ(refusal_with("/model/dropout", value(0.0)), "accepted");
  EXPECT_THAT(refusal_with("/model/continuing_subword_prefix", value("##")),
              HasSubstr("model.continuing_subword_prefix is set"));
  EXPECT_THAT(refusal_with("/model/end_of_word_suffix", value("</w>")), HasSubstr("model.end_of_word_suffix is set"));
  EXPECT_THAT(refusal_with("/normalizer/type", value("Lowercase")), HasSubstr("normalizer is of type Lowercase"));
  EXPECT_THAT(refusal_with("/pre_tokenizer/pretokenizers/0/type", value("UnicodeScripts")),
              HasSubstr("pre_tokenizer.pretokenizers[0] is of type UnicodeScripts"));
  EXPECT_THAT(refusal_with("/pre_tokenizer/pretokenizers/0/behavior", value("Odd")), HasSubstr("behavior is Odd"));
  EXPECT_THAT(refusal_with("/post_processor/type", value("PairProcessing")), HasSubstr("is of type PairProcessing"));
  EXPECT_THAT(refusal_with("/post_processor/type", value("BertProcessing")),
              HasSubstr("post_processor.cls is missing"));
  const auto bert = [](value cls) {
    return boost::json::object{{"type", "BertProcessing"}, {"cls", std::move(cls)}, {"sep", {"<e>", 264}}};
  };
  EXPECT_EQ(refusal_with("/post_processor", bert({"<s>", 263})), "accepted");
  EXPECT_THAT(refusal_with("/post_processor", bert({"<s>", 999})), HasSubstr("cls[1] is 999, which no token has"));
  EXPECT_THAT(refusal_with("/post_processor", bert({263})), HasSubstr("cls is not a token and its id"));
  EXPECT_THAT(refusal_with("/post_processor", bert(263)), HasSubstr("cls is not a list"));
  EXPECT_THAT(refusal_with("/pre_tokenizer/pretokenizers/0",
                           boost::json::object{{"type", "ByteLevel"}, {"add_prefix_space", false}}),
              HasSubstr("pretokenizers[1] is ByteLevel after ByteLevel"));
  EXPECT_THAT(refusal_with("/decoder/type", value("Metaspace")), HasSubstr("decoder is of type Metaspace"));
  EXPECT_THAT(refusal_with("/decoder", boost::json::object{{"type", "Sequence"}, {"decoders", boost::json::array{}}}),
              HasSubstr("exactly one ByteLevel"));
}

TEST(CompileTokenizer, WhatPutsTextIntoTextsIsBounded) {
  EXPECT_THAT(refusal_with("/normalizer", boost::json::object{{"type", "Prepend"}, {"prepend", std::string(65, 'a')}}),
              HasSubstr("normalizer.prepend has 65 bytes, more than 64"));
  EXPECT_THAT(
      refusal_with("/pre_tokenizer/pretokenizers/0", boost::json::object{{"type", "Metaspace"}, {"replacement", "  "}}),
      HasSubstr("replacement is not one character"));
}

TEST(CompileTokenizer, DecodersThatMultiplyAreRefused) {
  const value doubling = {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}};
  value document = boost::json::parse(small_tokenizer_json());
  document.as_object().erase("pre_tokenizer");
  document.as_object()["decoder"] = {{"type", "Sequence"}, {"decoders", boost::json::array(50, doubling)}};
  EXPECT_THAT(refusal(boost::json::serialize(document)), HasSubstr("its decoder makes a token too long"));
}

TEST(CompileTokenizer, StandInsForUnknownBytes) {
  EXPECT_EQ(refusal_with("/model/unk_token", value("t")), "accepted");
  value document = boost::json::parse(small_tokenizer_json());
  document.at("model").as_object()["unk_token"] = "t";
  document.at("model").at("vocab").as_object().erase("x");
  EXPECT_THAT(refusal(boost::json::serialize(document)), HasSubstr("has an unk_token and lacks single bytes"));
}

TEST(CompileTokenizer, Patterns) {
  const std::string regex = "/pre_tokenizer/pretokenizers/0/pattern/Regex";
  EXPECT_THAT(refusal_with(regex, value("(")), AllOf(HasSubstr("pattern \"(\" is not understood"), HasSubstr("at 1")));
  for (const char* pattern :
       {"a\\",     "\\p{L",         "\\pL",   "\\G",      "\\K",         "\\X",       "\\y",    "\\Qa",
        "\\k<a>",  "(?<a>b)\\g<a>", "\\12",   "\\xe9",    "\\x{110000}", "(*ACCEPT)", "(?s:.)", "(?i:ss)",
        "(?i:ß)",  "(?i)[ß]",       "(?<a",   "(?P<a>b)", "(?~a)",       "(?#a",      "*a",     "^+",
        "(?=a)*",  "{2}",           "a{3,1}", "[a",       "[]",          "[[:odd:]]", "[a\\W]", "[a[^b]]",
        "[^a&&b]", "[a&&]",         "[\\R]",  "[\\1]"}) {
    EXPECT_THAT(refusal_with(regex, value(pattern)), HasSubstr("which is not supported")) << pattern;
  }
  EXPECT_THAT(refusal_with(regex, value(std::string(200, '*').insert(0, "a"))), HasSubstr("too many repetitions"));
  EXPECT_THAT(refusal_with(regex, value(std::string(200, '['))), HasSubstr("too many classes"));
  EXPECT_THAT(refusal_with(regex, value("\\p{Klingon}")), HasSubstr("is not understood"));
  EXPECT_EQ(refusal_with(regex, value("\\p{L}+|[]a]|[^]b]|\\[&&")), "accepted");
  EXPECT_THAT(refusal_with("/pre_tokenizer/pretokenizers/0/pattern", boost::json::object{{"String", ""}}),
              HasSubstr("pattern.String is empty"));
}

/// What `pattern`, in Oniguruma's dialect, finds in `text`.
std::vector<std::string> matches(std::string_view pattern, std::string_view text) {
  const Regex regex(pcre2_pattern_from_oniguruma(pattern, "test"), "test");
  std::vector<std::string> found;
  for_each_span(regex, text, [&](TextRange range, bool is_match) {
    if (is_match) found.emplace_back(text.substr(range.begin, range.end - range.begin));
  });
  std::erase(found, "");
  return found;
}

// Source: Oniguruma's doc/RE, and pcre2pattern(3) for what PCRE2 would have made of the same characters.
TEST(CompileTokenizer, PatternsMeanWhatOnigurumaTakesThemFor) {
  EXPECT_THAT(matches("ba{,2}", "baaab{,2}"), ElementsAre("baa", "b"));
  EXPECT_THAT(matches("a{,}|a{x}", "a{,}a{x}"), ElementsAre("a{,}", "a{x}"));
  EXPECT_THAT(matches("a{2}+b", "aaaab"), ElementsAre("aaaab"));        // not possessive
  EXPECT_THAT(matches("a{2}?", "aaa"), ElementsAre("aa"));              // not lazy, but optional
  EXPECT_THAT(matches("a{2,3}?", "aaaa"), ElementsAre("aa", "aa"));     // lazy
  EXPECT_THAT(matches("a++a|a", "aa"), ElementsAre("a", "a"));          // possessive
  EXPECT_THAT(matches("\\h+", "xyz09afAFg h"), ElementsAre("09afAF"));  // hexadecimal digits, and no spaces
  EXPECT_THAT(matches("\\H", "a g"), ElementsAre(" ", "g"));
  EXPECT_THAT(matches("[\\h]", "ag "), ElementsAre("a"));
  EXPECT_THAT(matches("\\v", "\v\n"), ElementsAre("\v"));
  EXPECT_THAT(matches("\\R", "\r\n\n"), ElementsAre("\r\n", "\n"));
  EXPECT_THAT(matches("\\u00e9", "é"), ElementsAre("é"));
  EXPECT_THAT(matches("\\bé.", "e\u0301é éa"), ElementsAre("éa"));  // a mark is of the word
  EXPECT_THAT(matches("(?m:.)+", "a\nb"), ElementsAre("a\nb"));
  EXPECT_THAT(matches("(?-m:.)", "a\n"), ElementsAre("a"));
  EXPECT_THAT(matches("x(?i)a|b", "xA B xb"),
              ElementsAre("xA", "xb"));  // the option reaches over alternatives, as a group
  EXPECT_THAT(matches("(?x) a b # c\n [ ]", "ab ab"), ElementsAre("ab "));
  EXPECT_THAT(matches("[a[bc]]+", "abcd"), ElementsAre("abc"));
  EXPECT_THAT(matches("[^(\\s|[.,!])]+", "a(b| c,d"), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(matches("[a-z&&[^b]]+", "abc"), ElementsAre("a", "c"));
  EXPECT_THAT(matches("[\\p{L}&&[^\\p{Han}]]+", "a日b"), ElementsAre("a", "b"));
  EXPECT_THAT(matches("[\\s-x]", "a-x\u3001"), ElementsAre("-", "x"));  // a hyphen, and no range
  EXPECT_THAT(matches("[[:digit:]_]+", "a1_b"), ElementsAre("1_"));
  EXPECT_THAT(matches("\\p{^L}|\\P{^Lu}", "aB1"), ElementsAre("B", "1"));
  EXPECT_THAT(matches("\\p{Han}", "一、"), ElementsAre("一"));  // the script, without its extensions
  EXPECT_THAT(matches("\\p{lu}|\\p{Letter}", "aB"), ElementsAre("a", "B"));
}

TEST(CompileTokenizer, APatternThatExplodesEndsInAnError) {
  value document = boost::json::parse(small_tokenizer_json());
  document.at_pointer("/pre_tokenizer/pretokenizers/0/pattern").as_object()["Regex"] = "((a+)+)+[bc]";
  const auto tokenizer = tokenizer_from_json(boost::json::serialize(document));
  EXPECT_THROW(tokenizer->encode(std::string(50, 'a')), Error);
}

TEST(CompileTokenizer, FirstAndLastIdsComeFromTheFolder) {
  const TemporaryDirectory directory;
  const std::filesystem::path& folder = directory.path();
  const auto write = [&](const char* name, std::string_view text) { std::ofstream(folder / name) << text; };
  write("tokenizer.json", small_tokenizer_json());
  EXPECT_EQ(open_tables(compile_tokenizer(folder))->bos_id(), std::nullopt);
  write("tokenizer_config.json", R"({"bos_token": {"content": "<s>"}, "eos_token": "<e>"})");
  write("generation_config.json", R"({"eos_token_id": [264, 256]})");
  write("config.json", R"({"bos_token_id": 7, "eos_token_id": 257})");
  const auto tokenizer = open_tables(compile_tokenizer(folder));
  EXPECT_EQ(tokenizer->bos_id(), 263);
  EXPECT_THAT(tokenizer->eos_ids(), ElementsAre(256, 257, 264));
  write("config.json", R"({"eos_token_id": 9999})");
  try {
    compile_tokenizer(folder);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("config.json: eos_token_id is 9999, which no token of tokenizer.json has"));
  }
  std::filesystem::remove_all(folder);
  EXPECT_THROW(compile_tokenizer(folder), Error);
}

}  // namespace
}  // namespace incipit
