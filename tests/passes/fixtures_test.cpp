// Real architectures, against what their reference implementation computes (tests/fixtures/reference).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "graph/graph.h"
#include "import/import.h"
#include "import/safetensors.h"
#include "passes/pass.h"
#include "tiny_decoder.h"

namespace incipit {
namespace {

class Fixture : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::filesystem::path directory =
        std::filesystem::path(INCIPIT_SOURCE_DIR) / "tests/fixtures/reference" / GetParam();
    model_ = import_model(directory);
    const SafetensorsFile golden = SafetensorsFile::open(directory / "golden.safetensors");
    ids_ = golden.load("input_ids");
    logits_ = golden.load("logits");
    greedy_ = golden.load("greedy");
  }

  std::span<const int32_t> prompt(int64_t index) const { return row<int32_t>(ids_, index); }
  std::span<const float> logits(int64_t index) const { return row<float>(logits_, index); }
  std::span<const int32_t> greedy(int64_t index) const { return row<int32_t>(greedy_, index); }

  /// Every row of both prompts within 10⁻⁴ of the largest logit: float32 against float32 in another order of summation.
  void expect_golden(const Graph& graph, int64_t chunk) const {
    for (int64_t p = 0; p < ids_.shape()[0]; ++p) {
      std::vector<int32_t> rows;
      for (int32_t r = 0; r < std::ssize(prompt(p)); ++r) rows.push_back(r);
      const std::vector<float> found = logits_of(graph, prompt(p), rows, chunk);
      ASSERT_EQ(found.size(), logits(p).size());
      double largest = 0, difference = 0;
      for (size_t i = 0; i < found.size(); ++i) {
        largest = std::max(largest, std::fabs(static_cast<double>(logits(p)[i])));
        difference = std::max(difference, std::fabs(static_cast<double>(logits(p)[i]) - found[i]));
      }
      EXPECT_LE(difference, 1e-4 * largest) << "prompt " << p;
    }
  }

  /// Plain argmax steps; one pass over the whole text, for the choices are checked against the expected ones.
  void expect_greedy(const Graph& graph) const {
    for (int64_t p = 0; p < ids_.shape()[0]; ++p) {
      std::vector<int32_t> text(prompt(p).begin(), prompt(p).end()), rows;
      for (size_t i = 0; i < greedy(p).size(); ++i) {
        rows.push_back(static_cast<int32_t>(text.size()) - 1);
        text.push_back(greedy(p)[i]);
      }
      text.pop_back();
      const std::vector<float> found = logits_of(graph, text, rows);
      const size_t vocabulary = found.size() / rows.size();
      for (size_t i = 0; i < rows.size(); ++i) {
        const auto begin = found.begin() + static_cast<std::ptrdiff_t>(i * vocabulary);
        EXPECT_EQ(std::max_element(begin, begin + static_cast<std::ptrdiff_t>(vocabulary)) - begin, greedy(p)[i]);
      }
    }
  }

  Model model_;

 private:
  template <typename T>
  static std::span<const T> row(const Tensor& tensor, int64_t index) {
    const size_t size = tensor.as<T>().size() / static_cast<size_t>(tensor.shape()[0]);
    return tensor.as<T>().subspan(static_cast<size_t>(index) * size, size);
  }
  Tensor ids_, logits_, greedy_;
};

TEST_P(Fixture, ImportedGraphComputesTheGoldenLogits) { expect_golden(model_.graph, 0); }

TEST_P(Fixture, AllPassesKeepThem) {
  run_passes(model_.graph, {});
  expect_golden(model_.graph, 0);
  expect_golden(model_.graph, 7);
  expect_greedy(model_.graph);
}

TEST_P(Fixture, EachPassCanBeOff) {
  for (const Pass& pass : passes()) {
    SCOPED_TRACE(pass.name);
    Graph graph = model_.graph.clone();
    PassOptions options;
    options.without = {std::string(pass.name)};
    run_passes(graph, options);
    expect_golden(graph, 13);
  }
}

// What is left of a layer, so that a pattern that stops matching is seen: the last layer and the head are apart.
TEST_P(Fixture, LayersBecomeFewNodes) {
  run_passes(model_.graph, {});
  std::map<std::string, int> first_layer;
  for (const NodeId n : model_.graph.order()) {
    const Node& node = model_.graph.node(n);
    if (node.name.starts_with("model.layers.0.") && !node.name.ends_with(".sampled"))
      ++first_layer[std::string(node.op->name())];
  }
  const std::map<std::string, int> expected{{"RmsNorm", 2},     {"Linear", 4},  {"SliceColumns", 3},
                                            {"ApplyRotary", 2}, {"KvWrite", 1}, {"Attention", 1}};
  EXPECT_EQ(first_layer, expected);
}

INSTANTIATE_TEST_SUITE_P(Passes, Fixture, ::testing::Values("llama-mha", "llama-gqa-tied", "llama3-rope", "qwen2"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace incipit
