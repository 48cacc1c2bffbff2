// Tokenizers against what Hugging Face's library makes of the same texts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <map>
#include <sstream>

#include "base/file.h"
#include "golden_json.h"
#include "support/temporary_directory.h"
#include "text/nfc.h"
#include "tokenizer_compile/compile_tokenizer.h"
#include "tokenizer_testing.h"

namespace incipit {
namespace {

using testing::ElementsAre;

boost::json::value read_json(const std::filesystem::path& path) { return boost::json::parse(read_text_file(path)); }

TEST(TokenizerGolden, AwkwardStringsOfClassics) {
  const auto tokenizer = classics_tokenizer();
  const boost::json::value golden = read_json(source_path("tests/fixtures/classics-16m-golden/golden_tokens.json"));
  ASSERT_EQ(golden.as_array().size(), 16);
  for (const boost::json::value& entry : golden.as_array()) {
    const std::string text = text_of(entry.at("text"));
    const std::vector<int32_t> ids = ids_of(entry.at("ids"));
    EXPECT_EQ(tokenizer->encode(text, {.add_special_tokens = false}), ids) << text;
    EXPECT_EQ(tokenizer->decode(ids, false), text_of(entry.at("decoded"))) << text;
  }
}

TEST(TokenizerGolden, PromptsOfClassics) {
  const auto tokenizer = classics_tokenizer();
  const boost::json::value golden = read_json(source_path("tests/fixtures/classics-16m-golden/golden.json"));
  size_t prompts = 0;
  for (const boost::json::value& entry : golden.is_array() ? golden.as_array() : golden.at("prompts").as_array()) {
    if (!entry.as_object().contains("prompt")) continue;
    ++prompts;
    EXPECT_EQ(tokenizer->encode(text_of(entry.at("prompt"))), ids_of(entry.at("input_ids")));
    EXPECT_EQ(tokenizer->decode(ids_of(entry.at("greedy"))), text_of(entry.at("text")));
  }
  EXPECT_EQ(prompts, 4);
}

TEST(TokenizerGolden, SpecialIdsOfClassics) {
  const auto tokenizer = classics_tokenizer();
  EXPECT_EQ(tokenizer->vocab_size(), 8192);
  EXPECT_EQ(tokenizer->bos_id(), 0);
  EXPECT_THAT(tokenizer->eos_ids(), ElementsAre(1));
  EXPECT_EQ(tokenizer->id_of("<|user|>"), 2);
  EXPECT_EQ(tokenizer->id_of(" "), 226);
  EXPECT_EQ(tokenizer->id_of("no such token"), std::nullopt);
  EXPECT_TRUE(tokenizer->is_special(2));
  EXPECT_FALSE(tokenizer->is_special(226));
  EXPECT_FALSE(tokenizer->is_special(-1));
  EXPECT_FALSE(tokenizer->is_special(8192));
  EXPECT_EQ(tokenizer->token_bytes(226), " ");
  EXPECT_EQ(tokenizer->token_bytes(-1), "");
  EXPECT_EQ(tokenizer->token_bytes(8192), "");
}

TEST(TokenizerGolden, SpecialTokensAsPlainText) {
  const auto tokenizer = classics_tokenizer();
  const std::vector<int32_t> ids = tokenizer->encode("<|user|>hi<|end|>", {false, false});
  for (const int32_t id : ids) EXPECT_FALSE(tokenizer->is_special(id)) << id;
  EXPECT_EQ(tokenizer->decode(ids), "<|user|>hi<|end|>");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("<|user|>hi<|end|>")), "hi");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("<|user|>hi<|end|>"), false), "<|begin|><|user|>hi<|end|>");
}

TEST(TokenizerGolden, ComponentsOneByOne) {
  const boost::json::value fixture = read_json(source_path("tests/fixtures/text/tokenizer_components.json"));
  const auto& texts = fixture.at("texts").as_array();
  ASSERT_GE(fixture.at("cases").as_array().size(), 30);
  for (const boost::json::value& entry : fixture.at("cases").as_array()) {
    SCOPED_TRACE(text_of(entry.at("name")));
    boost::json::object model = fixture.at("model").as_object();
    if (entry.at("ignore_merges").as_bool()) model["ignore_merges"] = true;
    for (const boost::json::value& symbol : entry.at("without").as_array()) {
      const std::string needle = text_of(symbol);
      boost::json::object vocabulary;
      for (const auto& [token, id] : model.at("vocab").as_object()) {
        if (std::string_view(token.data(), token.size()).find(needle) == std::string_view::npos) {
          vocabulary.emplace(token, id);
        }
      }
      boost::json::array merges;
      for (const boost::json::value& merge : model.at("merges").as_array()) {
        if (vocabulary.contains(text_of(merge.at(0)) + text_of(merge.at(1)))) merges.push_back(merge);
      }
      model["vocab"] = vocabulary;
      model["merges"] = merges;
    }
    boost::json::object document = entry.at("components").as_object();
    document["model"] = model;
    document["decoder"] = {{"type", "ByteLevel"}};
    const auto tokenizer = tokenizer_from_json(boost::json::serialize(document));

    const auto& outcomes = entry.at("outcomes").as_array();
    ASSERT_EQ(outcomes.size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::string text = text_of(texts[i]);
      const auto& [ids, plain, decoded, decoded_whole] =
          std::tie(outcomes[i].at(0), outcomes[i].at(1), outcomes[i].at(2), outcomes[i].at(3));
      EXPECT_EQ(tokenizer->encode(text), ids_of(ids)) << text;
      EXPECT_EQ(tokenizer->encode(text, {.add_special_tokens = false}), ids_of(plain)) << text;
      EXPECT_EQ(tokenizer->decode(ids_of(ids), true), text_of(decoded)) << text;
      EXPECT_EQ(tokenizer->decode(ids_of(ids), false), text_of(decoded_whole)) << text;
    }
  }
}

TEST(TokenizerGolden, SentencePieceStyleOneByOne) {
  const boost::json::value fixture = read_json(source_path("tests/fixtures/text/metaspace_components.json"));
  const auto& texts = fixture.at("texts").as_array();
  ASSERT_GE(fixture.at("cases").as_array().size(), 20);
  for (const boost::json::value& entry : fixture.at("cases").as_array()) {
    SCOPED_TRACE(text_of(entry.at("name")));
    boost::json::object document = entry.at("components").as_object();
    document["model"] = fixture.at("model");
    for (const auto& [name, value] : entry.at("model").as_object()) document["model"].as_object()[name] = value;
    const auto tokenizer = tokenizer_from_json(boost::json::serialize(document));
    const auto& outcomes = entry.at("outcomes").as_array();
    ASSERT_EQ(outcomes.size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::string text = text_of(texts[i]);
      const std::vector<int32_t> ids = ids_of(outcomes[i].at(0));
      EXPECT_EQ(tokenizer->encode(text), ids) << text;
      if (outcomes[i].at(1).is_string()) {
        EXPECT_EQ(tokenizer->decode(ids, true), text_of(outcomes[i].at(1))) << text;
      }
      EXPECT_EQ(tokenizer->decode(ids, false), text_of(outcomes[i].at(2))) << text;
    }
  }
}

// The published tokenizers lie beside the project, for their licences.
class PublishedTokenizer : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(shared_)) GTEST_SKIP() << "../shared/tokenizers is absent: published tokenizers";
  }

  /// Compiled once.
  std::shared_ptr<const Tokenizer> published(const std::string& name) {
    static std::map<std::string, std::shared_ptr<const Tokenizer>> compiled;
    std::shared_ptr<const Tokenizer>& tokenizer = compiled[name];
    if (!tokenizer) tokenizer = open_tables(compile_tokenizer(shared_ / name));
    return tokenizer;
  }

  /// A folder with only some of a published tokenizer's files.
  std::shared_ptr<const Tokenizer> with_files(const std::string& name, const std::vector<std::string>& files) {
    const TemporaryDirectory directory;
    const std::filesystem::path& folder = directory.path();
    for (const std::string& file : files) std::filesystem::create_symlink(shared_ / name / file, folder / file);
    return open_tables(compile_tokenizer(folder));
  }

  void check_cases(const Tokenizer& tokenizer, const std::string& name) {
    const std::string input = read_text_file(shared_ / "cases" / (name + ".inp"));
    std::istringstream output(read_text_file(shared_ / "cases" / (name + ".out")));
    const std::string separator = "\n__ggml_vocab_test__\n";
    size_t cases = 0;
    for (size_t start = 0; start < input.size(); ++cases) {
      const size_t end = std::min(input.find(separator, start), input.size());
      const std::string text = input.substr(start, end - start);
      start = end + separator.size();
      std::string line;
      ASSERT_TRUE(std::getline(output, line)) << "case " << cases;
      std::istringstream numbers(line);
      std::vector<int32_t> ids;
      for (int32_t id; numbers >> id;) ids.push_back(id);
      EXPECT_EQ(tokenizer.encode(text, {.add_special_tokens = false}), ids) << "case " << cases << ": " << text;
      EXPECT_EQ(tokenizer.decode(ids), text);
    }
    EXPECT_GT(cases, 40);
  }

  const std::filesystem::path shared_ = source_path("../shared/tokenizers");
};

TEST_F(PublishedTokenizer, Gpt2) { check_cases(*with_files("gpt2", {"vocab.json", "merges.txt"}), "gpt-2"); }
TEST_F(PublishedTokenizer, Llama3) { check_cases(*published("llama-3"), "llama-bpe"); }
TEST_F(PublishedTokenizer, Qwen2) { check_cases(*published("qwen2"), "qwen2"); }
TEST_F(PublishedTokenizer, Phi3) { check_cases(*published("phi-3"), "phi-3"); }

TEST_F(PublishedTokenizer, Llama2) {
  const auto tokenizer = published("llama-2");
  check_cases(*tokenizer, "llama-spm");
  EXPECT_THAT(tokenizer->encode("Hello"), ElementsAre(1, 15043));
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_THAT(tokenizer->eos_ids(), ElementsAre(2));
}

TEST_F(PublishedTokenizer, Llama2FromItsSentencePieceModel) {
  const auto tokenizer = with_files("llama-2", {"tokenizer.model"});
  check_cases(*tokenizer, "llama-spm");
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_THAT(tokenizer->eos_ids(), ElementsAre(2));
  // Phi-3's tokenizer.json holds the same vocabulary.
  const auto other = published("phi-3");
  std::mt19937 random(1);
  for (int i = 0; i < 500; ++i) {
    const std::string text = random_bytes(random, random() % 80);
    ASSERT_EQ(tokenizer->encode(text, {false, false}), other->encode(text, {false, false})) << text;
  }
  EXPECT_THAT(tokenizer->encode("</s>Hello", {.add_special_tokens = false}), ElementsAre(2, 15043));
}

TEST_F(PublishedTokenizer, Phi3SpecialTokens) {
  const auto tokenizer = published("phi-3");
  // <|user|> takes in the white space behind it.
  const std::vector<int32_t> ids = tokenizer->encode("<|user|>\n Hello<|end|>\n<|assistant|>");
  EXPECT_THAT(ids, ElementsAre(32010, 15043, 32007, 32001));
  EXPECT_EQ(tokenizer->decode(ids), "Hello");
  EXPECT_EQ(tokenizer->decode(ids, false), "<|user|> Hello<|end|><|assistant|>");
  EXPECT_THAT(tokenizer->eos_ids(), ElementsAre(32000));
}

TEST_F(PublishedTokenizer, RunsOfSpacesAreAddedTokens) {
  const auto gpt2 = published("gpt2");
  EXPECT_THAT(gpt2->encode("Hello world<|endoftext|>   x"), ElementsAre(15496, 995, 50256, 50285, 87));
  const auto neox = published("gpt-neox");
  EXPECT_THAT(neox->encode("Hello world<|endoftext|>   x"), ElementsAre(12092, 1533, 0, 50275, 89));
  const boost::json::value document = boost::json::parse(read_text_file(shared_ / "gpt-neox" / "tokenizer.json"));
  for (const boost::json::value& added : document.at("added_tokens").as_array()) {
    const std::string text = text_of(added.at("content"));
    const auto id = static_cast<int32_t>(added.at("id").as_int64());
    EXPECT_THAT(neox->encode(text), ElementsAre(id));
    EXPECT_THAT(neox->encode("a" + text + "b"), ElementsAre(66, id, 67)) << text.size();
    EXPECT_EQ(neox->decode(std::vector<int32_t>{66, id, 67}, false), "a" + text + "b");
  }
}

TEST_F(PublishedTokenizer, RandomTextsComeBack) {
  std::mt19937 random(7);
  for (const char* name : {"gpt2", "gpt-neox", "llama-3", "qwen2", "llama-2", "phi-3"}) {
    const auto tokenizer = published(name);
    const bool composes = name == std::string("gpt-neox") || name == std::string("qwen2");
    for (int i = 0; i < 300; ++i) {
      std::string text = random_text(random, random() % 60);
      if (composes) text = to_nfc(text);
      const std::vector<int32_t> ids = tokenizer->encode(text, {false, false});
      ASSERT_EQ(tokenizer->decode(ids, false), text) << name;
    }
    for (int i = 0; i < 300 && !composes; ++i) {
      const std::string bytes = random_bytes(random, random() % 60);
      std::string back;
      DecodingStart start = tokenizer->decoding_start();
      for (const int32_t id : tokenizer->encode(bytes, {false, false})) tokenizer->append_token(id, start, back);
      ASSERT_EQ(back, bytes) << name;
    }
  }
}

}  // namespace
}  // namespace incipit
