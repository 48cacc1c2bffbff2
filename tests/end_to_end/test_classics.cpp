// The bundled model, end to end: its tokenizer, logits, greedy texts and perplexity against what Transformers gave.

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <map>

#include "base/file.h"
#include "engine/engine.h"
#include "import/safetensors.h"
#include "session/evaluate.h"
#include "session/session.h"
#include "support/driver.h"
#include "support/sanitized.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"
#include "text/tokenizer.h"

namespace incipit {
namespace {

std::filesystem::path golden(const std::string& name) { return fixtures() / "classics-16m-golden" / name; }

std::shared_ptr<const Engine> classics(const std::string& precision) {
  static const TemporaryDirectory directory;
  static std::map<std::string, std::shared_ptr<const Engine>> made;
  auto& engine = made[precision];
  if (!engine) {
    CompileOptions options;
    options.precision = precision;
    options.tune = false;
    options.max_context = 1024;
    engine = compile_for_test(source_directory() / "models" / "classics-16m", directory / precision, options);
  }
  return engine;
}

std::vector<int32_t> ids_of(const boost::json::value& list) {
  std::vector<int32_t> ids;
  for (const boost::json::value& id : list.as_array()) ids.push_back(id.to_number<int32_t>());
  return ids;
}

struct Prompt {
  std::string text;
  std::vector<int32_t> input_ids, greedy;
  std::string continuation;
};

std::vector<Prompt> prompts() {
  std::vector<Prompt> result;
  const boost::json::value document = boost::json::parse(read_text_file(golden("golden.json")));
  for (const boost::json::value& entry : document.as_array()) {
    const boost::json::object& object = entry.as_object();
    if (!object.contains("prompt")) continue;
    result.push_back({std::string(object.at("prompt").as_string()), ids_of(object.at("input_ids")),
                      ids_of(object.at("greedy")), std::string(object.at("text").as_string())});
  }
  return result;
}

TEST(Classics, TokenizesThePromptsAsTransformersDoes) {
  const auto engine = classics("f32");
  const auto tokenizer = Tokenizer::open(engine->tokenizer(), engine);
  for (const Prompt& prompt : prompts()) EXPECT_EQ(tokenizer->encode(prompt.text), prompt.input_ids) << prompt.text;
}

TEST(Classics, GivesTheGoldenLogitsInF32) {
  const SafetensorsFile expected = SafetensorsFile::open(golden("golden_logits.safetensors"));
  Executor executor(classics("f32"), make_cpu_device(2));
  std::vector<std::vector<int32_t>> texts;
  for (const Prompt& prompt : prompts()) texts.push_back(prompt.input_ids);
  ASSERT_EQ(texts.size(), 4U);
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < texts.size(); ++i) tensors.push_back(expected.load("logits." + std::to_string(i)));
  LogitsComparison comparison;
  visit_logits(executor, texts, [&](size_t text, size_t position, std::span<const float> logits) {
    comparison.add(logits, tensors[text].as<float>().subspan(position * logits.size(), logits.size()));
  });
  EXPECT_EQ(comparison.rows, 15 + 9 + 12 + 26);
  EXPECT_LE(comparison.relative_error(), 1e-4);
  EXPECT_EQ(comparison.same_choice, comparison.rows);
}

TEST(Classics, ContinuesThePromptsWordForWordInF32) {
  for (const auto kind : {SessionOptions::DeviceKind::cpu, SessionOptions::DeviceKind::shadow}) {
    SessionOptions options;
    options.device = kind;
    options.threads = 2;
    Session session(classics("f32"), options);
    const std::vector<Prompt> all = prompts();
    std::vector<std::vector<int32_t>> ids(all.size());
    std::vector<std::string> texts(all.size());
    for (size_t i = 0; i < all.size(); ++i) {
      Request request;
      request.prompt = all[i].input_ids;
      request.max_new_tokens = static_cast<int32_t>(all[i].greedy.size());
      request.ignore_end = true;
      session.submit(request, [&, i](const TokenEvent& event) {
        if (event.token.id >= 0) ids[i].push_back(event.token.id);
        texts[i] += event.text;
      });
    }
    session.run();
    for (size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(ids[i], all[i].greedy);
      EXPECT_EQ(texts[i], all[i].continuation);
    }
  }
}

/// The whole of eval.txt, as golden.json says: windows of 512, no begin token, the first token of each not scored.
double perplexity(const std::string& precision) {
  const auto engine = classics(precision);
  const auto tokenizer = Tokenizer::open(engine->tokenizer(), engine);
  const std::vector<int32_t> tokens =
      tokenizer->encode(read_text_file(fixtures() / "text" / "eval.txt"), {.add_special_tokens = false});
  Executor executor(engine, make_cpu_device(0));
  const Perplexity found = evaluate_perplexity(executor, tokens, 512, [](int64_t) {});
  EXPECT_EQ(found.tokens_scored, 81760);
  return found.value;
}

constexpr double transformers_perplexity = 29.10214241149196;

#define SKIP_LONG_TEXTS() \
  if (sanitized)          \
  GTEST_SKIP() << "Classics perplexity skipped: whole books take minutes under sanitizers; the release run asserts it"

TEST(Classics, HasThePerplexityOfTransformersInF32) {
  SKIP_LONG_TEXTS();
  const double found = perplexity("f32");
  EXPECT_NEAR(found, transformers_perplexity, 0.03);
}

TEST(Classics, LosesNoMoreThanHalfAPercentInBf16) {
  SKIP_LONG_TEXTS();
  EXPECT_LE(std::fabs(perplexity("bf16") / transformers_perplexity - 1), 0.005);
}

TEST(Classics, LosesNoMoreThanATenthOfAPercentInFp16) {
  SKIP_LONG_TEXTS();
  EXPECT_LE(std::fabs(perplexity("fp16") / transformers_perplexity - 1), 0.001);
}

TEST(Classics, LosesNoMoreThanOneAndAHalfPercentInInt8) {
  SKIP_LONG_TEXTS();
  EXPECT_LE(std::fabs(perplexity("int8") / transformers_perplexity - 1), 0.015);
}

}  // namespace
}  // namespace incipit
