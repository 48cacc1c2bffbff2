// What is missing, malformed or unsupported in a tokenizer.json is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>

#include "base/error.h"
#include "text/compile_tokenizer.h"
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
  EXPECT_THAT(refusal_with("/post_processor/type", value("BertProcessing")), HasSubstr("BertProcessing"));
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
  for (const char* pattern : {"a\\hb", "[a[b]]", "[a&&b]", "(*ACCEPT)", "a\\", "(?m:.)", "a{2}+", "\\p{L"}) {
    EXPECT_THAT(refusal_with(regex, value(pattern)), HasSubstr("which is not supported")) << pattern;
  }
  EXPECT_THAT(refusal_with(regex, value("a\\Cb")), HasSubstr("is not understood"));
  EXPECT_EQ(refusal_with(regex, value("\\p{L}+|[]a]|[^]b]|\\[&&")), "accepted");
  EXPECT_THAT(refusal_with("/pre_tokenizer/pretokenizers/0/pattern", boost::json::object{{"String", ""}}),
              HasSubstr("pattern.String is empty"));
}

TEST(CompileTokenizer, APatternThatExplodesEndsInAnError) {
  value document = boost::json::parse(small_tokenizer_json());
  document.at_pointer("/pre_tokenizer/pretokenizers/0/pattern").as_object()["Regex"] = "((a+)+)+[bc]";
  const auto tokenizer = tokenizer_from_json(boost::json::serialize(document));
  EXPECT_THROW(tokenizer->encode(std::string(50, 'a')), Error);
}

TEST(CompileTokenizer, FirstAndLastIdsComeFromTheFolder) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "incipit_compile_tokenizer_test";
  std::filesystem::create_directories(folder);
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
