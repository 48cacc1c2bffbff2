#include "session/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "golden.h"
#include "import/spoilable.h"
#include "runtime/executor.h"
#include "session/session.h"

namespace incipit {
namespace {

TEST(Evaluate, VisitsEveryTokenOfEveryTextOnceAndMatchesTransformers) {
  const Golden golden = Golden::of("qwen2");
  Executor executor(reference_engine("qwen2"), make_cpu_device(2));
  const size_t length = golden.prompt(0).size();
  const auto vocabulary = static_cast<size_t>(golden.logits.shape()[2]);
  // More texts than slots, of different lengths, an empty one among them.
  std::vector<std::vector<int32_t>> texts;
  for (size_t i = 0; i < 9; ++i) {
    texts.push_back(golden.prompt(i % 2));
    texts.back().resize(i == 4 ? 0 : length - i);
  }
  std::vector<size_t> heard(texts.size(), 0);
  LogitsComparison comparison;
  visit_logits(executor, texts, [&](size_t text, size_t position, std::span<const float> logits) {
    EXPECT_EQ(position, heard[text]++);
    comparison.add(logits,
                   golden.logits.as<float>().subspan(((text % 2) * length + position) * vocabulary, vocabulary));
  });
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(heard[i], texts[i].size());
  EXPECT_LT(comparison.relative_error(), 1e-4);
  EXPECT_LT(comparison.mean_kl, 1e-6);
  EXPECT_EQ(comparison.same_choice, comparison.rows);
}

TEST(Evaluate, PerplexityIsThatOfTheGoldenLogits) {
  const Golden golden = Golden::of("llama-mha");
  Executor executor(reference_engine("llama-mha"), make_cpu_device(2));
  std::vector<int32_t> tokens = golden.prompt(0);
  const auto second = golden.prompt(1);
  tokens.insert(tokens.end(), second.begin(), second.end());
  tokens.push_back(3);  // fills no window
  const auto length = static_cast<int32_t>(second.size());
  int64_t advanced = 0;
  const Perplexity found = evaluate_perplexity(executor, tokens, length, [&](int64_t count) { advanced += count; });
  const auto vocabulary = static_cast<size_t>(golden.logits.shape()[2]);
  double loss = 0;
  int64_t scored = 0;
  for (size_t i = 0; i + 1 < tokens.size() - 1; ++i) {
    if (i % second.size() == second.size() - 1) continue;
    const auto logits = golden.logits.as<float>().subspan(i * vocabulary, vocabulary);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    loss += std::log(sum) - logits[static_cast<size_t>(tokens[i + 1])];
    ++scored;
  }
  EXPECT_EQ(found.tokens_scored, scored);
  EXPECT_EQ(advanced, 2 * length);
  EXPECT_NEAR(found.value, std::exp(loss / static_cast<double>(scored)), 1e-3 * found.value);
}

TEST(Evaluate, RefusesWhatCannotBeRun) {
  Executor executor(reference_engine("llama-mha"), make_cpu_device(1));
  const auto ignore = [](size_t, size_t, std::span<const float>) {};
  const std::vector<std::vector<int32_t>> long_text{std::vector<int32_t>(513, 4)}, bad_text{{4, 9999}};
  EXPECT_THROW(visit_logits(executor, long_text, ignore), Error);
  EXPECT_THROW(visit_logits(executor, bad_text, ignore), Error);
  const std::vector<int32_t> few{1, 2, 3};
  EXPECT_THROW(evaluate_perplexity(executor, few, 4, [](int64_t) {}), Error);
  EXPECT_THROW(evaluate_perplexity(executor, few, 1, [](int64_t) {}), Error);
}

/// An engine whose logits are NaN.
std::shared_ptr<const Engine> engine_of_nans(const TemporaryDirectory& directory) {
  Spoilable model("llama-mha");
  const float nan = NAN;
  convert_from_float(&nan, DType::f32, model.tensors.at("model.norm.weight").data(), 1);
  model.save();
  CompileOptions options;
  options.precision = "f32";
  options.tune = false;
  options.allow_non_finite = true;
  return compile_for_test(model.path(), directory / "nan.engine", options);
}

TEST(Generation, FailsWhereLogitsAreNoNumbers) {
  const TemporaryDirectory directory;
  SessionOptions options;
  options.threads = 1;
  Session session(engine_of_nans(directory), options);
  std::vector<TokenEvent> events;
  std::string failure;
  Request request;
  request.prompt = {1, 2, 3};
  session.submit(request, [&](const TokenEvent& event) {
    events.push_back(event);
    failure = event.failure;
  });
  session.run();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].token.id, -1);
  EXPECT_EQ(events[0].finish, FinishReason::failed);
  EXPECT_NE(failure.find("its logits are NaN or infinite"), std::string::npos) << failure;
}

TEST(Evaluate, SaysWhereLogitsAreNoNumbers) {
  const TemporaryDirectory directory;
  Executor executor(engine_of_nans(directory), make_cpu_device(1));
  const std::vector<int32_t> tokens{1, 2, 3, 4, 5, 6};
  try {
    evaluate_perplexity(executor, tokens, 3, [](int64_t) {});
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.thing(), "logits");
    EXPECT_EQ(error.fault(), "behind token 0 of window 0 they are NaN or infinite");
  }
}

TEST(LogitsComparison, MeasuresErrorDivergenceAndAgreement) {
  LogitsComparison comparison;
  const std::vector<float> expected{0, 2}, same{0, 2}, other{1, 0};
  comparison.add(same, expected);
  EXPECT_EQ(comparison.relative_error(), 0);
  comparison.add(other, expected);
  EXPECT_DOUBLE_EQ(comparison.relative_error(), 1);
  EXPECT_EQ(comparison.rows, 2);
  EXPECT_EQ(comparison.same_choice, 1);
  const double p = 1 / (1 + std::exp(-2.0)), q = 1 / (1 + std::exp(1.0));
  EXPECT_NEAR(comparison.mean_kl, (p * std::log(p / q) + (1 - p) * std::log((1 - p) / (1 - q))) / 2, 1e-12);
  const std::vector<float> broken{NAN, 0};
  comparison.add(broken, expected);
  EXPECT_TRUE(std::isinf(comparison.relative_error()));
}

}  // namespace
}  // namespace incipit
