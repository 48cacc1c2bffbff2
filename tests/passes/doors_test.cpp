// Two doors, one house: a model from its ONNX export becomes what it becomes from its checkpoint.
#include <gtest/gtest.h>

#include <filesystem>
#include <ostream>
#include <string>

#include "import/import.h"
#include "import/onnx/import_onnx.h"
#include "one_house.h"
#include "passes/pass.h"

namespace incipit {
namespace {

struct Export {
  std::string model, file;
};
void PrintTo(const Export& exported, std::ostream* out) { *out << exported.model << "/" << exported.file; }

class Doors : public ::testing::TestWithParam<Export> {};

TEST_P(Doors, LeadToOneHouse) {
  const auto& [model, file] = GetParam();
  const std::filesystem::path exported = find_reference(model + "/" + file), checkpoint = find_reference(model);
  if (exported.empty() || checkpoint.empty()) {
    GTEST_SKIP() << model << "/" << file << ": neither in tests/fixtures/reference nor in ../shared/reference";
  }
  Graph by_onnx = import_onnx_graph(onnx::read_model(exported));
  Graph by_checkpoint = import_model(checkpoint).graph;
  run_passes(by_onnx, {});
  run_passes(by_checkpoint, {});
  expect_one_house(by_onnx, by_checkpoint);
}

/// What pack_tokens says of a graph that it leaves as it is.
std::string refusal_of(const std::string& text) {
  Graph graph = parse_graph(text);
  for (const PassReport& report : run_passes(graph, {})) {
    if (report.name == "pack_tokens") return report.note;
  }
  return {};
}

TEST(PackTokens, NamesTheFirstOpThatMixesTokens) {
  const std::string start =
      "graph (input_ids: i64[B, S]) -> (logits)\nconst table : f32[3, 4] = random(1, 1)\n"
      "const axis : i64[1] = {1}\nconst weight : f32[4, 3] = random(2, 1)\n"
      "x : f32[B, S, 4] = Gather(table, input_ids)\n";
  EXPECT_EQ(refusal_of(start + "mean : f32[B, 1, 4] = Reduce(x, axis) {kind = \"mean\"}\n"
                               "sum : f32[B, S, 4] = Binary(x, mean) {function = \"add\"}\n"
                               "logits : f32[B, S, 3] = MatMul(sum, weight)\n"),
            "mean: Reduce has no row-wise form");
  EXPECT_EQ(refusal_of(start + "turned : f32[B, 4, S] = Transpose(x) {perm = [0, 2, 1]}\n"
                               "scores : f32[B, S, S] = MatMul(x, turned)\n"
                               "seen : f32[B, S, 4] = MatMul(scores, x)\n"
                               "logits : f32[B, S, 3] = MatMul(seen, weight)\n"),
            "scores: MatMul multiplies tokens with one another");
  EXPECT_EQ(refusal_of(start + "logits : f32[B, S, 3] = MatMul(x, weight)\n"),
            "logits: depends on no token but its own");
  EXPECT_EQ(refusal_of("graph (input_ids: i64[B, S]) -> (last_hidden_state)\nconst table : f32[3, 4] = random(1, 1)\n"
                       "last_hidden_state : f32[B, S, 4] = Gather(table, input_ids)\n"),
            "last_hidden_state: is no output of logits");
}

TEST(PackTokens, LeavesGraphsWithOtherInputsAlone) {
  const std::string text =
      "graph (x: f32[B, 4]) -> (y)\nconst weight : f32[4, 3] = random(2, 1)\ny : f32[B, 3] = MatMul(x, weight)\n";
  Graph graph = parse_graph(text);
  run_passes(graph, {});
  EXPECT_EQ(to_text(graph), text);
}

std::vector<Export> all_exports() {
  std::vector<Export> exports;
  for (const char* model : {"gemma2", "gpt-neox", "gpt2", "llama-gqa-tied", "llama-mha", "llama3-rope",
                            "mistral-window", "phi3", "qwen2", "qwen3"}) {
    for (const char* file : {"plain_torchscript.onnx", "plain_dynamo.onnx", "past_torchscript.onnx"}) {
      exports.push_back({model, file});
    }
  }
  return exports;
}

std::string name_of_export(const ::testing::TestParamInfo<Export>& info) {
  std::string name = info.param.model + "_" + info.param.file;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Exports, Doors, ::testing::ValuesIn(all_exports()), name_of_export);

}  // namespace
}  // namespace incipit
