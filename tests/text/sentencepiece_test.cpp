// SentencePiece models against what the library makes of the same texts, and damaged ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer_compile/compile_tokenizer.h"
#include "tokenizer_testing.h"

namespace incipit {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string model_file(const std::string& name) {
  return read_text_file(source_path("tests/fixtures/text") / (name + ".model"));
}

std::shared_ptr<const Tokenizer> open_model(const std::string& bytes) {
  return open_tables(compile_sentencepiece(bytes, "x.model"));
}

TEST(SentencePiece, GivesTheLibrarysIds) {
  const boost::json::value golden =
      boost::json::parse(read_text_file(source_path("tests/fixtures/text/sentencepiece.json")));
  const auto& texts = golden.at("texts").as_array();
  for (const auto& [name, outcomes] : golden.at("models").as_object()) {
    SCOPED_TRACE(std::string(name));
    const auto tokenizer = open_model(model_file(std::string(name)));
    ASSERT_EQ(outcomes.as_array().size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto text = boost::json::value_to<std::string>(texts[i]);
      const auto ids = boost::json::value_to<std::vector<int32_t>>(outcomes.at(i).at(0));
      EXPECT_EQ(tokenizer->encode(text), ids) << text;
      EXPECT_EQ(tokenizer->decode(ids), boost::json::value_to<std::string>(outcomes.at(i).at(1))) << text;
    }
  }
}

TEST(SentencePiece, SpecialTokensAreFoundInTexts) {
  const auto tokenizer = open_model(model_file("tiny_bpe"));
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_THAT(tokenizer->eos_ids(), ElementsAre(2));
  const std::vector<int32_t> ids = tokenizer->encode("<s>the</s>");
  ASSERT_GE(ids.size(), 3);
  EXPECT_EQ(ids.front(), 1);
  EXPECT_EQ(ids.back(), 2);
  EXPECT_EQ(tokenizer->decode(ids), "the");
  for (const int32_t id : tokenizer->encode("<s>the</s>", {false, false})) EXPECT_FALSE(tokenizer->is_special(id));
}

// Just enough of the wire format to write small models.
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string integer(uint32_t field, uint64_t value) { return varint(field << 3) + varint(value); }
std::string bytes(uint32_t field, const std::string& value) {
  return varint(field << 3 | 2) + varint(value.size()) + value;
}
std::string piece(const std::string& text, float score = 0, uint64_t type = 1) {
  std::string number(sizeof score, '\0');
  std::memcpy(number.data(), &score, sizeof score);
  return bytes(1, bytes(1, text) + varint(2 << 3 | 5) + number + integer(3, type));
}
const std::string unknown = piece("<unk>", 0, 2);
const std::string bpe = bytes(2, integer(3, 2));
const std::string plain = bytes(3, integer(3, 0) + integer(4, 0));  // no prefix, spaces kept

std::string model_refusal(const std::string& model) {
  try {
    compile_sentencepiece(model, "x.model");
  } catch (const Error& error) {
    EXPECT_EQ(error.thing(), "x.model");
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
    return error.what();
  }
  return "accepted";
}

TEST(SentencePiece, HigherScoresMergeFirst) {
  const auto tokenizer = open_model(unknown + piece("a", -9) + piece("b", -9) + piece("c", -9) + piece("ab", -2) +
                                    piece("bc", -1) + piece("abc", -3) + piece("aa", -4) + bpe + plain);
  EXPECT_THAT(tokenizer->encode("abc"), ElementsAre(6));
  EXPECT_THAT(tokenizer->encode("abab"), ElementsAre(4, 4));
  EXPECT_THAT(tokenizer->encode("abbc"), ElementsAre(4, 5));
  EXPECT_THAT(tokenizer->encode("aaa"), ElementsAre(7, 1));       // the leftmost of equals
  EXPECT_THAT(tokenizer->encode("axxyb"), ElementsAre(1, 0, 2));  // neighbouring unknown ones are one
}

TEST(SentencePiece, WhatIsNotSupportedIsNamed) {
  EXPECT_EQ(model_refusal(unknown + piece("a") + bpe + plain), "accepted");
  EXPECT_THAT(model_refusal(unknown + bytes(2, integer(3, 1))),
              HasSubstr("its type is Unigram, which is not supported"));
  EXPECT_THAT(model_refusal(unknown), HasSubstr("its type is Unigram"));
  EXPECT_THAT(model_refusal(unknown + bytes(2, integer(3, 77))), HasSubstr("its type is unknown"));
  EXPECT_THAT(model_refusal(unknown + bytes(2, integer(3, 2) + integer(24, 1))), HasSubstr("puts spaces behind words"));
  EXPECT_THAT(model_refusal(unknown + bpe + bytes(3, bytes(1, "nmt_nfkc") + bytes(2, "map"))),
              HasSubstr("its normaliser is \"nmt_nfkc\", which is not supported"));
  EXPECT_THAT(model_refusal(unknown + bpe + bytes(3, integer(5, 0))), HasSubstr("does not write spaces as U+2581"));
  EXPECT_THAT(model_refusal(unknown + piece("a", 0, 5) + bpe), HasSubstr("piece 1 is of a kind that is not supported"));
  EXPECT_THAT(model_refusal(unknown + unknown + bpe), HasSubstr("piece 1, \"<unk>\", is there twice"));
  EXPECT_THAT(model_refusal(unknown + piece("<u>", 0, 2) + bpe), HasSubstr("second one for the unknown"));
  EXPECT_THAT(model_refusal(piece("a") + bpe), HasSubstr("it has no piece for the unknown"));
  EXPECT_THAT(model_refusal(unknown + piece("ab") + bpe),
              HasSubstr("has the character \"a\", which is no piece itself"));
  EXPECT_THAT(model_refusal(unknown + piece("") + bpe), HasSubstr("piece 1 is empty"));
  EXPECT_THAT(model_refusal(unknown + piece("\xff") + bpe), HasSubstr("no UTF-8"));
  EXPECT_THAT(model_refusal(unknown + piece("0x41", 0, 6) + bpe), HasSubstr("\"0x41\", is no byte"));
  EXPECT_THAT(model_refusal(unknown + piece("a", std::numeric_limits<float>::infinity()) + bpe),
              HasSubstr("piece 1 has no finite score"));
}

TEST(SentencePiece, ForeignBytesAreRefused) {
  EXPECT_THAT(model_refusal(""), HasSubstr("it has no pieces, so it is no SentencePiece model"));
  EXPECT_THAT(model_refusal("{\"model\": {}}"), HasSubstr("it is cut short or no SentencePiece model"));
  EXPECT_THAT(model_refusal("version https://git-lfs.github.com/spec/v1"), HasSubstr("no SentencePiece model"));
  const std::string model = model_file("tiny_bpe");
  for (size_t size = 0; size < model.size(); size += 61) model_refusal(model.substr(0, size));
  std::mt19937 random(1);
  for (int i = 0; i < 500; ++i) {
    std::string damaged = model;
    for (int n = 0; n < 4; ++n) damaged[random() % damaged.size()] = static_cast<char>(random());
    model_refusal(damaged);
  }
}

}  // namespace
}  // namespace incipit
