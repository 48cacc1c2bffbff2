// Models as ONNX Runtime GenAI's builder writes them become what they become from their checkpoint.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "import/import.h"
#include "import/onnx/import_onnx.h"
#include "one_house.h"
#include "passes/pass.h"
#include "support/genai_model.h"

namespace incipit {
namespace {

using Attention = GenaiForm::Attention;

Graph decoder_of(const std::string& checkpoint, const GenaiForm& form, const std::vector<float>& frequencies = {}) {
  const std::string bytes = GenaiModel::of(find_reference(checkpoint), form, frequencies);
  Graph graph = import_onnx_graph(onnx::parse_model(onnx_bytes::span_of(bytes), "model.onnx"));
  for (const PassReport& report : run_passes(graph, {})) EXPECT_EQ(report.note, "") << report.name;
  return graph;
}

Graph decoder_of(const std::string& checkpoint) {
  Graph graph = import_model(find_reference(checkpoint)).graph;
  run_passes(graph, {});
  return graph;
}

struct Case {
  std::string checkpoint;
  GenaiForm form;
};
void PrintTo(const Case& one, std::ostream* out) { *out << one.checkpoint << " " << one.form.name; }

class Genai : public ::testing::TestWithParam<Case> {};

TEST_P(Genai, LeadsToTheSameHouse) {
  const auto& [checkpoint, form] = GetParam();
  expect_one_house(decoder_of(checkpoint, form), decoder_of(checkpoint));
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* checkpoint : {"llama-gqa-tied", "llama-mha", "qwen2", "qwen3"}) {
    all.push_back({checkpoint, {.name = "grouped"}});
    all.push_back({checkpoint, {.name = "rotary_nodes", .rotary_nodes = true, .skipping_norms = false}});
    all.push_back({checkpoint, {.name = "half_tables", .half_tables = true}});
    all.push_back({checkpoint, {.name = "given_lengths", .given_lengths = true, .sampled = true}});
    all.push_back({checkpoint, {.name = "opset23", .attention = Attention::opset23}});
    all.push_back({checkpoint, {.name = "opset23_mask", .attention = Attention::opset23, .mask_operand = true}});
  }
  for (const char* checkpoint : {"llama-gqa-tied", "llama-mha", "qwen2"}) {
    all.push_back({checkpoint, {.name = "packed", .packed = true}});
  }
  all.push_back({"llama-mha", {.name = "multi_head", .attention = Attention::multi_head}});
  return all;
}

std::string name_of_case(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.checkpoint + "_" + info.param.form.name;
  std::ranges::replace(name, '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Forms, Genai, ::testing::ValuesIn(cases()), name_of_case);

/// Codes are weights that are computed as they are read.
TEST(GenaiCodes, AreTheNumbersThatTheyStandFor) {
  using Weights = GenaiForm::Weights;
  for (const char* checkpoint : {"llama-mha", "llama-gqa-tied"}) {
    SCOPED_TRACE(checkpoint);
    const Graph blocks = decoder_of(checkpoint, {.name = "numbers", .weights = Weights::rounded_floats});
    expect_one_house(decoder_of(checkpoint, {.name = "codes", .weights = Weights::codes}), blocks);
    const Graph linear = decoder_of(checkpoint, {.name = "numbers", .weights = Weights::linear_floats});
    expect_one_house(decoder_of(checkpoint, {.name = "codes", .weights = Weights::linear_codes}), linear);
    expect_one_house(decoder_of(checkpoint, {.name = "pairs", .weights = Weights::linear_pairs}), linear);
  }
}

/// In f16 all weights are rounded, but frequencies are found.
TEST(GenaiHalves, HaveTheFrequenciesOfTheCheckpoint) {
  const GenaiForm form{.name = "half", .half = true};
  const Structure found = structure_of(decoder_of("llama-mha", form)), wanted = structure_of(decoder_of("llama-mha"));
  std::string text = found.text;
  for (size_t at = 0; (at = text.find("f16", at)) != std::string::npos;) text.replace(at, 3, "f32");
  EXPECT_EQ(text, wanted.text);
  ASSERT_EQ(found.constants.size(), wanted.constants.size());
  for (size_t i = 0; i < found.constants.size(); ++i) {
    const Constant &a = *found.constants[i], &b = *wanted.constants[i];
    ASSERT_EQ(a.shape(), b.shape());
    if (a.shape() == Shape{8}) {  // the only vector as long as half a head
      expect_near(a, b, "frequencies");
      continue;
    }
    std::vector<float> x(static_cast<size_t>(a.rows() * a.row_elements())), y(x.size());
    a.read_floats(0, a.rows(), x.data());
    b.read_floats(0, b.rows(), y.data());
    for (size_t j = 0; j < x.size(); ++j) ASSERT_NEAR(x[j], y[j], 1e-6 + 2e-3 * std::fabs(y[j])) << "constant " << i;
  }
}

std::vector<float> frequencies_of(const Graph& graph) {
  for (const NodeId n : graph.order()) {
    if (graph.node(n).op->name() != "RotaryTable") continue;
    const ConstantPtr& constant = graph.value(graph.node(n).inputs.at(1)).constant;
    std::vector<float> frequencies(static_cast<size_t>(constant->rows()));
    constant->read_floats(0, constant->rows(), frequencies.data());
    return frequencies;
  }
  return {};
}

/// Frequencies that are no powers of one number can only be read off the tables.
TEST(GenaiTables, ShowFrequenciesThatAreNoPowers) {
  const Graph wanted = decoder_of("llama3-rope");
  const std::vector<float> frequencies = frequencies_of(wanted);
  ASSERT_FALSE(frequencies.empty());
  expect_one_house(decoder_of("llama3-rope", {.name = "grouped"}, frequencies), wanted);
  // From a table in f16, angles are as exact at its last position as the table itself.
  const Graph halves = decoder_of("llama3-rope", {.name = "half_tables", .half_tables = true}, frequencies);
  EXPECT_EQ(structure_of(halves).text, structure_of(wanted).text);
  const std::vector<float> found = frequencies_of(halves);
  ASSERT_EQ(found.size(), frequencies.size());
  constexpr float positions = 512;
  for (size_t j = 0; j < found.size(); ++j)
    EXPECT_NEAR(found[j] * positions, frequencies[j] * positions, 0x1p-12F) << j;
}

}  // namespace
}  // namespace incipit
