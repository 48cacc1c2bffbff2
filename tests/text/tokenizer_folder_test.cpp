// Which of a folder's files make its tokenizer, and what the configuration beside them changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/utf8.h"
#include "support/temporary_directory.h"
#include "text/byte_alphabet.h"
#include "tokenizer_compile/compile_tokenizer.h"
#include "tokenizer_testing.h"

namespace incipit {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TokenizerFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const char* name, std::string_view text) { std::ofstream(folder_ / name) << text; }
  std::shared_ptr<const Tokenizer> open() { return open_tables(compile_tokenizer(folder_)); }
  std::string refusal() {
    try {
      compile_tokenizer(folder_);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
      return error.what();
    }
    return "accepted";
  }

  /// vocab.json of the 256 bytes, then these; merges.txt of these.
  void write_merges(const std::vector<std::string>& more, const std::string& merges) {
    boost::json::object vocabulary;
    for (int byte = 0; byte < 256; ++byte) {
      std::string symbol;
      append_utf8(symbol, byte_symbol(static_cast<uint8_t>(byte)));
      vocabulary.emplace(symbol, byte);
    }
    for (const std::string& token : more) vocabulary.emplace(token, static_cast<int64_t>(vocabulary.size()));
    write("vocab.json", boost::json::serialize(vocabulary));
    write("merges.txt", merges);
  }
  void write_model() { write("tokenizer.model", read_text_file(source_path("tests/fixtures/text/tiny_bpe.model"))); }

  const TemporaryDirectory directory_;
  const std::filesystem::path folder_ = directory_ / "model";
};

TEST_F(TokenizerFolder, NothingThereIsSaid) {
  EXPECT_FALSE(has_tokenizer(folder_));
  EXPECT_THAT(refusal(), HasSubstr("tokenizer.json: it is not there, nor is a tokenizer.model, nor vocab.json with"));
  write("vocab.json", "{}");
  EXPECT_FALSE(has_tokenizer(folder_));
  write("merges.txt", "");
  EXPECT_TRUE(has_tokenizer(folder_));
  EXPECT_THAT(refusal(), HasSubstr("vocab.json: the document is empty"));
}

TEST_F(TokenizerFolder, TheVocabularyShowsThePreTokenizer) {
  const std::string sign_and_letter = "( a\n", digits = "1 2\n12 3\n", other = "a b\n";
  const auto pieces = [&](const std::string& text) {
    const auto tokenizer = open();
    std::vector<std::string> texts;
    for (const int32_t id : tokenizer->encode(text)) texts.emplace_back(tokenizer->token_bytes(id));
    return texts;
  };
  write_merges({"ab", "12", "123"}, "#version: 0.2\r\n" + digits + other);
  EXPECT_THAT(pieces("(ab1231"), ElementsAre("(", "ab", "123", "1"));
  EXPECT_THAT(pieces("e\u0301"), ElementsAre("e", "\xcc", "\x81"));
  write_merges({"(a", "12", "123", "(ab"}, sign_and_letter + digits);  // Llama 3's
  EXPECT_THAT(pieces("(a1231"), ElementsAre("(a", "123", "1"));
  EXPECT_THAT(pieces("(ab"), ElementsAre("(ab"));  // no merge makes it
  EXPECT_THAT(pieces("12312"), ElementsAre("123", "12"));
  write_merges({"(a"}, sign_and_letter);  // Qwen 2's
  EXPECT_THAT(pieces("(a12"), ElementsAre("(a", "1", "2"));
  EXPECT_THAT(pieces("e\u0301"), ElementsAre("\xc3", "\xa9"));
  write("tokenizer_config.json", R"({"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": true})");
  EXPECT_THAT(pieces("(a"), ElementsAre(" ", "(", "a"));
  write("tokenizer_config.json", R"({"tokenizer_class": "BertTokenizer"})");
  EXPECT_THAT(refusal(),
              HasSubstr("tokenizer_config.json: tokenizer_class is BertTokenizer, whose pre-tokenizer is not"));
}

TEST_F(TokenizerFolder, MergesFilesThatDoNotFitAreNamed) {
  write_merges({"ab"}, "a b\na c\n");
  EXPECT_THAT(refusal(), HasSubstr("merges.txt: line 2 needs a token that is not in vocab.json"));
  write_merges({"ab"}, "a b\n\nab\n");
  EXPECT_THAT(refusal(), HasSubstr("merges.txt: line 3 is not a pair of tokens"));
  write("vocab.json", "[]");
  EXPECT_THAT(refusal(), HasSubstr("vocab.json: the document is not an object"));
}

TEST_F(TokenizerFolder, ConfigurationsAddTokensToMerges) {
  write_merges({"ab", "<|endoftext|>"}, "a b\n");
  EXPECT_THAT(open()->encode("ab<|endoftext|>"), ElementsAre(256, 257));
  EXPECT_EQ(open()->bos_id(), 257);
  EXPECT_THAT(open()->eos_ids(), ElementsAre(257));
  write("tokenizer_config.json", R"({"add_bos_token": true, "bos_token": "<b>", "eos_token": {"content": "<e>"},
    "added_tokens_decoder": {"258": {"content": "<b>", "special": true},
                             "259": {"content": "<e>", "special": true, "lstrip": true},
                             "260": {"content": "word", "single_word": true}}})");
  write("added_tokens.json", R"({"<b>": 258, "<later>": 261})");
  const auto tokenizer = open();
  EXPECT_THAT(tokenizer->encode("ab \n<e>word<later>"), ElementsAre(258, 256, 259, 260, 261));
  EXPECT_THAT(tokenizer->eos_ids(), ElementsAre(259));
  EXPECT_TRUE(tokenizer->is_special(259));
  EXPECT_FALSE(tokenizer->is_special(260));
  EXPECT_FALSE(tokenizer->is_special(261));
  write("special_tokens_map.json", R"({"additional_special_tokens": ["<later>"]})");
  EXPECT_TRUE(open()->is_special(261));
  write("added_tokens.json", R"({"<far>": 9999999})");
  EXPECT_THAT(refusal(), HasSubstr("added_tokens.json: <far> is 9999999, outside 0 to"));
  write("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "<b>"}}})");
  EXPECT_THAT(refusal(), HasSubstr("added_tokens_decoder has the id \"x\", no integer from 0 to"));
}

TEST_F(TokenizerFolder, ConfigurationsSayWhereASentencePieceTextBegins) {
  write_model();
  const int32_t the = *open()->id_of("\u2581the");
  EXPECT_THAT(open()->encode("the<s>the"), ElementsAre(1, the, 1, the));
  write("tokenizer_config.json", R"({"legacy": false, "add_bos_token": false, "add_eos_token": true})");
  const std::vector<int32_t> ids = open()->encode("the<s>the");
  EXPECT_EQ(ids.front(), the);
  EXPECT_NE(ids[2], the);
  EXPECT_EQ(ids.back(), 2);
  EXPECT_EQ(open()->decode(ids, false), "the<s>the</s>");
  write("tokenizer_config.json", R"({"add_prefix_space": false})");
  EXPECT_EQ(open()->decode(open()->encode(" the")), " the");
  EXPECT_THAT(open()->encode(" the"), ElementsAre(1, the));
}

TEST_F(TokenizerFolder, ConfigurationsOverrideSentencePiecesTokens) {
  write_model();
  write("tokenizer_config.json",
        R"({"bos_token": "<s>", "eos_token": "<end>", "added_tokens_decoder": {
            "1": {"content": "<s>", "special": true}, "2": {"content": "</s>", "rstrip": true, "special": false, "normalized": false},
            "600": {"content": "<end>", "special": true}}})");
  const auto tokenizer = open();
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_THAT(tokenizer->eos_ids(), ElementsAre(600));
  EXPECT_FALSE(tokenizer->is_special(2));
  EXPECT_THAT(tokenizer->encode("</s> \n<end>"), ElementsAre(1, 2, 600));
}

TEST_F(TokenizerFolder, TokenizerJsonComesFirst) {
  write_model();
  write("tokenizer.json", small_tokenizer_json());
  EXPECT_EQ(open()->vocab_size(), 267);
  // Its post-processor stands, whatever the configuration says of it (as in Transformers 5).
  for (const char* tokenizer_class : {"LlamaTokenizerFast", "GemmaTokenizer", "PreTrainedTokenizerFast"}) {
    write("tokenizer_config.json", std::string(R"({"bos_token": "<e>", "eos_token": "<s>", "add_bos_token": true,
                                                   "add_eos_token": true, "tokenizer_class": ")") +
                                       tokenizer_class + "\"}");
    EXPECT_THAT(open()->encode(""), ElementsAre(263)) << tokenizer_class;
  }
  write("tokenizer_config.json", R"({"bos_token": "<e>", "tokenizer_class": "CodeLlamaTokenizerFast"})");
  EXPECT_THAT(open()->encode(""), ElementsAre(264));
  write("tokenizer_config.json", R"({"bos_token": "<e>", "tokenizer_class": "GPTNeoXTokenizerFast"})");
  EXPECT_THAT(open()->encode(""), ElementsAre());
  boost::json::value document = boost::json::parse(small_tokenizer_json());
  document.as_object().erase("post_processor");
  write("tokenizer.json", boost::json::serialize(document));
  write("tokenizer_config.json",
        R"({"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<e>", "add_bos_token": true})");
  EXPECT_THAT(open()->encode(""), ElementsAre());
}

TEST_F(TokenizerFolder, TheTokenThatIsPutBehindIsTheOneThatIsNamed) {
  write_merges({"ab", "<|endoftext|>", "<e>"}, "a b\n");
  write("tokenizer_config.json", R"({"eos_token": "<e>", "add_eos_token": true})");
  write("generation_config.json", R"({"eos_token_id": [257, 258]})");
  EXPECT_THAT(open()->encode("ab"), ElementsAre(256, 258));
  EXPECT_THAT(open()->eos_ids(), ElementsAre(257, 258));
}

TEST_F(TokenizerFolder, ConfigurationsChangeTheTokensOfATokenizerJson) {
  boost::json::value document = boost::json::parse(small_tokenizer_json());
  document.at("model").at("vocab").as_object().emplace("<|im_end|>", 267);
  document.as_object().erase("post_processor");
  write("tokenizer.json", boost::json::serialize(document));
  EXPECT_GT(open()->encode("a<|im_end|>").size(), 2);
  // In the vocabulary alone: the configuration makes it a token that is found.
  write("tokenizer_config.json", R"({"eos_token": "<|im_end|>"})");
  EXPECT_THAT(open()->encode("a<|im_end|> the"), ElementsAre('a', 267, 258));
  EXPECT_TRUE(open()->is_special(267));
  EXPECT_THAT(open()->eos_ids(), ElementsAre(267));
  EXPECT_EQ(open()->decode(std::vector<int32_t>{267}, false), "<|im_end|>");
  for (const char* config :
       {R"({"pad_token": "<|im_end|>"})", R"({"additional_special_tokens": ["<|im_end|>"]})",
        R"({"extra_special_tokens": {"image_token": "<|im_end|>"}})", R"({"extra_special_tokens": ["<|im_end|>"]})",
        R"({"cls_token": {"content": "<|im_end|>", "lstrip": false, "rstrip": false}})"}) {
    write("tokenizer_config.json", config);
    EXPECT_THAT(open()->encode("<|im_end|> the"), ElementsAre(267, 258)) << config;
    EXPECT_TRUE(open()->is_special(267)) << config;
  }
  // As an object it says how it is found.
  write("tokenizer_config.json", R"({"pad_token": {"content": "<|im_end|>", "rstrip": true, "normalized": false}})");
  EXPECT_THAT(open()->encode("<|im_end|> the"), ElementsAre(267, 257));
  // What is listed there is added, and its word on known ones holds.
  write("tokenizer_config.json", R"({"added_tokens_decoder": {
    "264": {"content": "<e>", "special": true, "rstrip": true}, "268": {"content": "<new>", "special": true},
    "267": {"content": "<|im_end|>", "special": false, "normalized": false}}})");
  const auto tokenizer = open();
  EXPECT_THAT(tokenizer->encode("<e> the<new><|im_end|>"), ElementsAre(264, 257, 268, 267));
  EXPECT_TRUE(tokenizer->is_special(268));
  EXPECT_FALSE(tokenizer->is_special(267));
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{264, 267, 268}, false), "<e><|im_end|><new>");
  write("tokenizer_config.json", R"({"added_tokens_decoder": {"264": {"content": "<other>"}}})");
  EXPECT_THAT(refusal(), HasSubstr("added_tokens_decoder.264 is 267, which another token has already"));
}

}  // namespace
}  // namespace incipit
