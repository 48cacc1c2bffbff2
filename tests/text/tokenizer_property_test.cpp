// What must hold for any text, however broken.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <thread>

#include "base/file.h"
#include "base/utf8.h"
#include "text/detokenizer.h"
#include "text/pre_tokenizer.h"
#include "tokenizer_compile/compile_tokenizer.h"
#include "tokenizer_testing.h"

namespace incipit {
namespace {

std::string bytes_of(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::string bytes;
  for (const int32_t id : ids) bytes += tokenizer.token_bytes(id);
  return bytes;
}

std::shared_ptr<const Tokenizer> sentencepiece_tokenizer() {
  static const std::shared_ptr<const Tokenizer> tokenizer =
      open_tables(compile_sentencepiece(read_text_file(source_path("tests/fixtures/text/tiny_bpe.model")), "tiny_bpe"));
  return tokenizer;
}

/// A text's bytes as they come back, the beginning's rule included.
std::string bytes_back(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::string bytes;
  DecodingStart start = tokenizer.decoding_start();
  for (const int32_t id : ids) tokenizer.append_token(id, start, bytes);
  return bytes;
}

TEST(TokenizerProperty, DecodingAnEncodedTextGivesItBack) {
  const auto tokenizer = classics_tokenizer();
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = random_text(random, random() % 60);
    const std::vector<int32_t> ids = tokenizer->encode(text, {.add_special_tokens = false});
    ASSERT_EQ(tokenizer->decode(ids, false), text);
  }
}

TEST(TokenizerProperty, BrokenBytesKeepTheirPlaces) {
  const auto tokenizer = classics_tokenizer();
  std::mt19937 random(2);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = random_bytes(random, random() % 40);
    ASSERT_EQ(bytes_of(*tokenizer, tokenizer->encode(text, {false, false})), text);
  }
}

TEST(TokenizerProperty, CharactersAndBytesComeBackFromSentencePiece) {
  const auto tokenizer = sentencepiece_tokenizer();
  std::mt19937 random(8);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = random_text(random, random() % 60);
    if (text.find("\u2581") == std::string::npos) {  // which is a space there
      ASSERT_EQ(tokenizer->decode(tokenizer->encode(text, {false, false}), false), text);
    }
    const std::string bytes = random_bytes(random, random() % 40);
    ASSERT_EQ(bytes_back(*tokenizer, tokenizer->encode(bytes, {false, false})), bytes);
  }
}

TEST(TokenizerProperty, WordsMergeAsTheWholeTextDoes) {
  // With ignore_merges, which here finds nothing more, a text is not cut into words first.
  const std::string model = read_text_file(source_path("tests/fixtures/text/metaspace_components.json"));
  const boost::json::value fixture = boost::json::parse(model);
  boost::json::object document = fixture.at("cases").at(0).at("components").as_object();
  document["model"] = fixture.at("model");
  const auto by_word = tokenizer_from_json(boost::json::serialize(document));
  document["model"].as_object()["ignore_merges"] = true;
  const auto whole = tokenizer_from_json(boost::json::serialize(document));
  std::mt19937 random(9);
  for (int i = 0; i < 500; ++i) {
    std::string text = random_text(random, 20);
    for (const char* word : {" the", " there ", "  and", "\n of", "ing "})
      text.insert(random() % (text.size() + 1), word);
    ASSERT_EQ(by_word->encode(text), whole->encode(text)) << text;
  }
}

TEST(TokenizerProperty, AnyBytesGoThroughEveryComponent) {
  const auto tokenizer = tokenizer_from_json(small_tokenizer_json());
  std::mt19937 random(3);
  for (int i = 0; i < 2000; ++i) {
    std::string text = random_bytes(random, random() % 40);
    for (const char* token : {"<s>", "<r>  ", "word", " word "}) {
      if (random() % 3 == 0) text.insert(random() % (text.size() + 1), token);
    }
    for (const int32_t id : tokenizer->encode(text)) ASSERT_LT(static_cast<size_t>(id), tokenizer->vocab_size());
  }
}

TEST(TokenizerProperty, StreamedTextIsTheWholeText) {
  std::mt19937 random(4);
  for (const auto& tokenizer : {classics_tokenizer(), sentencepiece_tokenizer()}) {
    for (int i = 0; i < 2000; ++i) {
      std::vector<int32_t> ids;
      if (i % 2 == 0) {
        ids = tokenizer->encode(random_bytes(random, random() % 40));
      } else {
        for (size_t n = random() % 40; n > 0; --n) ids.push_back(static_cast<int32_t>(random() % 400) - 2);
      }
      for (const bool skip_special : {false, true}) {
        StreamingDetokenizer detokenizer(tokenizer, skip_special);
        std::string streamed;
        for (const int32_t id : ids) {
          const std::string part = detokenizer.push(id);
          ASSERT_EQ(valid_utf8_prefix(part), part.size());
          streamed += part;
        }
        streamed += detokenizer.flush();
        ASSERT_EQ(streamed, tokenizer->decode(ids, skip_special));
        ASSERT_EQ(detokenizer.flush(), "");
      }
    }
  }
}

TEST(TokenizerProperty, ATextBeginsWithoutTheSpaceThatItGoesOnWith) {
  const auto tokenizer = sentencepiece_tokenizer();
  const std::vector<int32_t> prompt = tokenizer->encode("<s>the"), the = tokenizer->encode("the");
  ASSERT_EQ(prompt.front(), 1);
  StreamingDetokenizer detokenizer(tokenizer);
  const auto streamed = [&] {
    std::string text;
    for (const int32_t id : the) text += detokenizer.push(id);
    return text + detokenizer.flush();
  };
  EXPECT_EQ(streamed(), "the");
  detokenizer.follow(prompt);
  EXPECT_EQ(streamed(), " the");
  EXPECT_EQ(streamed(), "the");                     // flush begins anew
  detokenizer.follow(tokenizer->encode("the<s>"));  // behind a special token a text begins
  EXPECT_EQ(streamed(), "the");
  StreamingDetokenizer bytes(classics_tokenizer());
  bytes.follow(classics_tokenizer()->encode("the"));
  EXPECT_EQ(bytes.push(*classics_tokenizer()->id_of(" ")), " ");
}

TEST(TokenizerProperty, ACharacterComesOnlyWhole) {
  const auto tokenizer = classics_tokenizer();
  StreamingDetokenizer detokenizer(tokenizer);
  const std::vector<int32_t> ids = tokenizer->encode("語", {.add_special_tokens = false});
  ASSERT_EQ(ids.size(), 3);
  EXPECT_EQ(detokenizer.push(ids[0]), "");
  EXPECT_EQ(detokenizer.push(ids[1]), "");
  EXPECT_EQ(detokenizer.push(ids[2]), "語");
  EXPECT_EQ(detokenizer.push(ids[0]), "");
  EXPECT_EQ(detokenizer.push(ids[1]), "");
  EXPECT_EQ(detokenizer.flush(), "\xef\xbf\xbd");
}

TEST(TokenizerProperty, ShortAndLongPiecesMergeAlike) {
  // The same letters, once below and once above the length from which a heap chooses the merges.
  const auto tokenizer = tokenizer_from_json(small_tokenizer_json());
  const std::vector<int32_t> ids = tokenizer->encode(std::string(3 + 4 * 10, 'a'), {false, false});
  const std::vector<int32_t> more = tokenizer->encode(std::string(3 + 4 * 1000, 'a'), {false, false});
  const auto four = tokenizer->id_of("aaaa"), two = tokenizer->id_of("aa"), one = tokenizer->id_of("a");
  ASSERT_EQ(ids.size(), 12);
  ASSERT_EQ(more.size(), 1002);
  for (const auto& list : {ids, more}) {
    EXPECT_EQ(list.front(), four);
    EXPECT_EQ(list[list.size() - 3], four);
    EXPECT_EQ(list[list.size() - 2], two);
    EXPECT_EQ(list.back(), one);
  }
}

TEST(TokenizerProperty, OneLongPieceIsNotQuadratic) {
  std::mt19937 random(5);
  std::string word(400'000, 'a');
  for (char& letter : word) letter = static_cast<char>('a' + random() % 26);
  for (const auto& tokenizer : {classics_tokenizer(), sentencepiece_tokenizer()}) {
    for (const std::string& text : {word, std::string(400'000, ' '), std::string(400'000, 'a')}) {
      const auto start = std::chrono::steady_clock::now();
      const std::vector<int32_t> ids = tokenizer->encode(text, {false, false});
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      EXPECT_EQ(bytes_back(*tokenizer, ids), text);
      // Quadratic work would take minutes; the bound leaves room for sanitizers and a busy machine.
      EXPECT_LT(taken.count(), 10);
    }
  }
}

TEST(TokenizerProperty, PatternsSeeNoBrokenBytesBehindAMetaspace) {
  PreTokenizerStep metaspace, split;
  metaspace.kind = PreTokenizerStepKind::metaspace_always;
  metaspace.pattern = "_";
  split.pattern = "\\p{N}|_";
  const PreTokenizer cutter({metaspace, split}, "a test");
  PreTokenizerScratch scratch;
  // The first piece is valid and is cut; the second is broken but for its metaspace and stays whole.
  const std::string_view text = cutter.cut("a\xff", true, scratch);
  std::vector<std::string_view> pieces;
  for (const TextRange piece : scratch.pieces) pieces.push_back(text.substr(piece.begin, piece.end - piece.begin));
  EXPECT_EQ(pieces, (std::vector<std::string_view>{"_", "a", "_\xff"}));
}

TEST(TokenizerProperty, ManyThreadsShareOne) {
  const auto tokenizer = classics_tokenizer();
  std::mt19937 random(6);
  std::vector<std::string> texts;
  std::vector<std::vector<int32_t>> expected;
  for (int i = 0; i < 50; ++i) {
    texts.push_back(random_text(random, 100));
    expected.push_back(tokenizer->encode(texts.back()));
  }
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (size_t i = 0; i < texts.size(); ++i) {
        if (tokenizer->encode(texts[i]) != expected[i]) ++wrong;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace incipit
