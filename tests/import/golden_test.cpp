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

/// Under sanitizers those that are in every checkout; whole models of the others are compiled and held against
/// Transformers in the release.
class Reference : public testing::TestWithParam<std::string> {};
TEST_P(Reference, MatchesTransformers) {
  const std::filesystem::path checkpoint = reference_checkpoint(GetParam());
  if (!std::filesystem::exists(checkpoint)) INCIPIT_SKIP_WITHOUT_SHARED("reference-2026/" + GetParam());
  compare(checkpoint);
}
INSTANTIATE_TEST_SUITE_P(Golden, Reference, testing::ValuesIn(all_reference_models()),
                         [](const testing::TestParamInfo<std::string>& instance) {
                           std::string name = instance.param;
                           std::ranges::replace_if(
                               name, [](char c) { return c == '-' || c == '.'; }, '_');
                           return name;
                         });

}  // namespace
}  // namespace incipit
