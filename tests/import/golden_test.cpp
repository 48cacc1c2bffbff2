// The reference decoders, from their files to logits, through the scalar references of the ops.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/safetensors.h"
#include "import/import.h"
#include "support/margin.h"
#include "support/reference_models.h"
#include "support/shared_files.h"

namespace incipit {
namespace {

/// One sequence of a model, token by token or in chunks.
class Reader {
 public:
  explicit Reader(const Graph& graph) : graph_(graph) {}
  /// Logits [tokens, vocabulary] of the next tokens.
  Tensor read(std::span<const int32_t> tokens) {
    const auto count = static_cast<int64_t>(tokens.size());
    std::vector<int32_t> positions(tokens.size()), rows(tokens.size());
    std::iota(positions.begin(), positions.end(), static_cast<int32_t>(read_));
    std::iota(rows.begin(), rows.end(), 0);
    read_ += count;
    const Tensor ids = Tensor::of({count}, tokens), position = Tensor::of({count}, std::span<const int32_t>(positions)),
                 sampled = Tensor::of({count}, std::span<const int32_t>(rows));
    const Tensor* inputs[] = {&ids, &position, &sampled};
    return std::move(interpret(graph_, inputs, cache_).at(0));
  }

 private:
  const Graph& graph_;
  ReferenceCache cache_;
  int64_t read_ = 0;
};

int32_t greedy_choice(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

void compare(const std::filesystem::path& directory) {
  const Model model = import_model(directory);
  const SafetensorsFile golden = SafetensorsFile::open(directory / "golden.safetensors");
  const Tensor ids = golden.load("input_ids"), logits = golden.load("logits"), greedy = golden.load("greedy");
  const auto prompts = static_cast<size_t>(ids.shape().at(0)), length = static_cast<size_t>(ids.shape().at(1));
  const auto steps = static_cast<size_t>(greedy.shape().at(1)), vocabulary = static_cast<size_t>(model.vocabulary);
  ASSERT_EQ(logits.shape().at(2), model.vocabulary);
  for (size_t prompt = 0; prompt < prompts; ++prompt) {
    Reader reader(model.graph);
    const Tensor found = reader.read(ids.as<int32_t>().subspan(prompt * length, length));
    const auto expected = logits.as<float>().subspan(prompt * length * vocabulary, length * vocabulary);
    float largest = 0, error = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      largest = std::max(largest, std::abs(expected[i]));
      error = std::max(error, std::abs(found.as<float>()[i] - expected[i]));
    }
    EXPECT_LE(error, 1e-4F * largest) << "prompt " << prompt;

    // Greedy tokens agree for as long as the choice between two is clearer than both sides' error.
    std::vector<float> last(found.as<float>().last(vocabulary).begin(), found.as<float>().end());
    for (size_t step = 0; step < steps; ++step) {
      const int32_t next = greedy_choice(last), want = greedy.as<int32_t>()[prompt * steps + step];
      if (next != want && margin_of(last) < 4e-4F * largest) break;
      ASSERT_EQ(next, want) << "prompt " << prompt << " step " << step;
      const Tensor logits_of_next = reader.read({&next, 1});
      last.assign(logits_of_next.as<float>().begin(), logits_of_next.as<float>().end());
    }
  }
}

class Fixture : public testing::TestWithParam<const char*> {};
TEST_P(Fixture, MatchesTransformers) { compare(fixtures() / "reference" / GetParam()); }

std::string test_name(const testing::TestParamInfo<const char*>& instance) {
  std::string name = instance.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Golden, Fixture,
                         testing::Values("gemma2", "gemma3", "gpt-neox", "gpt2", "granite", "llama-gqa-tied",
                                         "llama-mha", "llama3-rope", "mistral-window", "mixtral", "olmo2",
                                         "phi3-longrope", "qwen2", "qwen3", "qwen3-moe"),
                         test_name);

/// The rest of them: biases everywhere with a head_dim of its own, other rotary kinds.
class SharedReference : public testing::TestWithParam<const char*> {};
TEST_P(SharedReference, MatchesTransformers) {
  INCIPIT_SKIP_WITHOUT_SHARED(std::filesystem::path("reference") / GetParam());
  compare(shared_file(std::filesystem::path("reference") / GetParam()));
}
INSTANTIATE_TEST_SUITE_P(Golden, SharedReference,
                         testing::Values("llama-bias-hd", "llama-linear", "llama-yarn", "phi3"), test_name);

INSTANTIATE_TEST_SUITE_P(Tiny, Fixture,
                         testing::Values("apertus-tiny", "cohere-tiny", "exaone4-tiny", "glm4-tiny", "ministral3-tiny",
                                         "mistral3-wrapper-tiny", "nemotron-tiny", "phi-tiny"),
                         test_name);

class NewerReference : public testing::TestWithParam<std::string> {};
TEST_P(NewerReference, MatchesTransformers) {
  const std::filesystem::path checkpoint = reference_checkpoint(GetParam());
  if (!std::filesystem::exists(checkpoint)) INCIPIT_SKIP_WITHOUT_SHARED("reference-2026/" + GetParam());
  compare(checkpoint);
}
INSTANTIATE_TEST_SUITE_P(Golden, NewerReference, testing::ValuesIn(newer_reference_models),
                         [](const testing::TestParamInfo<std::string>& instance) {
                           std::string name = instance.param;
                           std::ranges::replace_if(
                               name, [](char c) { return c == '-' || c == '.'; }, '_');
                           return name;
                         });

}  // namespace
}  // namespace incipit
