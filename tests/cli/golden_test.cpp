// Golden logits of a build, and the model's graph beside them.
#include "cli/golden.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engines.h"
#include "import/import.h"
#include "support/message_of.h"

namespace incipit {
namespace {

using testing::HasSubstr;

Model import_tiny() { return import_from(tiny_model, {}, {}); }

TEST(GoldenLogitsOfABuild, AreHeldAgainstTheModel) {
  const auto engine = Engine::open(tiny_engine());
  const std::optional<GoldenLogits> golden = golden_of(*engine);
  ASSERT_TRUE(golden);
  ASSERT_TRUE(golden->reference) << golden->no_reference;
  EXPECT_EQ(golden->reference->tokens, 8);
  EXPECT_LE(golden->reference->deviation, golden->reference->tolerance);
  EXPECT_THAT(run_program({"inspect", tiny_engine()}).out,
              HasSubstr(" off the model's own behind 8 tokens (tolerance "));
}

TEST(GoldenLogitsOfABuild, ThatAreNotTheModelsFailIt) {
  const auto engine = Engine::open(tiny_engine());
  GoldenLogits golden = *golden_of(*engine);
  golden.prompts.at(1).rows.at(2).logprobs.at(4) += 0.5F;
  const std::string message = message_of([&] { cli::hold_against_reference(golden, *engine, import_tiny); });
  EXPECT_THAT(message,
              HasSubstr("tiny.engine: is not what the model is: behind 6 tokens its log-probability of token " +
                        std::to_string(golden.prompts[1].rows[2].ids[4])));
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

TEST(GoldenLogitsOfABuild, WithoutAShortPromptSayWhyTheyWereNotHeldAgainstIt) {
  const auto engine = Engine::open(tiny_engine());
  GoldenLogits golden = *golden_of(*engine);
  golden.reference.reset();
  golden.prompts.erase(golden.prompts.begin(), golden.prompts.begin() + 2);
  cli::hold_against_reference(golden, *engine, import_tiny);
  EXPECT_FALSE(golden.reference);
  EXPECT_NE(golden.no_reference, "");
}

}  // namespace
}  // namespace incipit
