// detokenize gives back what tokenize was given, and names what it cannot read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "engines.h"
#include "program.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using testing::HasSubstr;

/// A model directory with nothing but a SentencePiece model.
struct SentencePieceFolder {
  SentencePieceFolder() {
    std::filesystem::copy_file(fixtures() / "text/tiny_bpe.model", directory / "tokenizer.model");
  }
  std::string path() const { return (directory / "").string(); }
  TemporaryDirectory directory;
};

TEST(Detokenize, GivesTheTextBack) {
  const SentencePieceFolder sentencepiece;
  const std::string text = " Call me\nIshmael: 語, naïve 😀 \n\n";
  for (const std::string& path : {classics.string(), sentencepiece.path()}) {
    const Ran ids = run_program({"tokenize", path}, text);
    ASSERT_EQ(ids.status, 0) << ids.err;
    const Ran back = run_program({"detokenize", path}, ids.out);
    EXPECT_EQ(back.status, 0) << back.err;
    EXPECT_EQ(back.out, text);
  }
  EXPECT_EQ(run_program({"detokenize", classics, "--special"}, "[0,40,1]").out, "<|begin|>C<|end|>");
  EXPECT_EQ(run_program({"detokenize", sentencepiece.path(), "--special"}, "[1]").out, "<s>");
  EXPECT_EQ(run_program({"detokenize", classics}, "[]").out, "");
}

TEST(Detokenize, AnswersLineByLine) {
  const std::string texts = "\"Call me\\nIshmael\"\n\"\"\n\" two  spaces\"\n";
  const Ran ids = run_program({"tokenize", classics, "--jsonl", "--no-special"}, texts);
  ASSERT_EQ(ids.status, 0) << ids.err;
  EXPECT_EQ(run_program({"detokenize", classics, "--jsonl"}, ids.out).out, texts);
}

TEST(Detokenize, NamesWhatItCannotRead) {
  const auto refusal = [](const std::string& input, bool jsonl) {
    std::vector<std::string> arguments{"detokenize", classics};
    if (jsonl) arguments.emplace_back("--jsonl");
    const Ran ran = run_program(arguments, input);
    EXPECT_EQ(ran.status, 1);
    return ran.err;
  };
  EXPECT_THAT(refusal("{}", false), HasSubstr("standard input: it is no JSON array"));
  EXPECT_THAT(refusal("[1, 8192]", false), HasSubstr("element 1, 8192, is no token id; ids go from 0 to 8191"));
  EXPECT_THAT(refusal("[-1]", false), HasSubstr("element 0, -1, is no token id"));
  EXPECT_THAT(refusal("[1]\n\n[\"a\"]\n", true), HasSubstr("standard input, line 3: element 0, \"a\", is no token id"));
  EXPECT_THAT(refusal("[1", false), HasSubstr("standard input"));
}

}  // namespace
}  // namespace incipit
