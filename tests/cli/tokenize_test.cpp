// tokenize answers with ids, from a model or an engine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/file.h"
#include "engines.h"

namespace incipit {
namespace {

using testing::HasSubstr;

TEST(Tokenize, AnswersWithIds) {
  for (const std::string& source : {classics.string(), classics_engine()}) {
    const Ran ran = run_program({"tokenize", source}, "Call me Ishmael.");
    ASSERT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.out, "[0,40,389,363,304,1114,4072,518,19]\n");
    EXPECT_EQ(run_program({"tokenize", source, "--no-special"}, "Call me Ishmael.").out,
              "[40,389,363,304,1114,4072,518,19]\n");
  }
}

TEST(Tokenize, AnswersLineByLine) {
  const auto golden = boost::json::parse(read_text_file(classics_golden / "golden_tokens.json"));
  std::string input, expected;
  for (const auto& entry : golden.get_array()) {
    input += boost::json::serialize(entry.at("text")) + "\n";
    expected += boost::json::serialize(entry.at("ids")) + "\n";
  }
  EXPECT_EQ(run_program({"tokenize", classics, "--no-special", "--jsonl"}, input).out, expected);
  const Ran bad = run_program({"tokenize", classics, "--jsonl"}, "\"fine\"\n17\n");
  EXPECT_EQ(bad.status, 1);
  EXPECT_THAT(bad.err, HasSubstr("line 2"));
  expect_refused(run_program({"tokenize", tiny_engine()}, "x"), 1, "no tokenizer");
}

}  // namespace
}  // namespace incipit
