// Models that are no decoders, through the whole of it: built into an engine, opened, and run.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "base/error.h"
#include "compile/lower_plain_graph.h"
#include "graph/text_form.h"
#include "import/import.h"
#include "plain_engine.h"
#include "primitives/primitive.h"
#include "runtime/plain/plain_graph.h"
#include "support/onnx_backend_test.h"
#include "support/sanitized.h"
#include "support/shared_files.h"

namespace incipit {
namespace {

/// An engine of what the passes leave of a model when they may make no decoder of it.
std::shared_ptr<const Engine> build(Model model, const std::string& precision = "f32") {
  return build_engine(std::move(model), precision, {"pack_tokens"});
}

std::vector<Tensor> run_in_engine(Graph graph, std::span<const Tensor* const> inputs) {
  Model model;
  model.graph = std::move(graph);
  const PortNames names = port_names(model);
  model.generation_defaults = "{}";
  PlainGraph plain(build(std::move(model)), 2);
  std::map<std::string, Tensor> given;
  for (size_t i = 0; i < inputs.size(); ++i) given.emplace(names.inputs.at(i), primitives::copy_of(*inputs[i]));
  std::map<std::string, Tensor> made = plain.run(given);
  std::vector<Tensor> outputs;
  for (const std::string& name : names.outputs) outputs.push_back(std::move(made.at(name)));
  return outputs;
}

/// ONNX's own tests, each a plain graph of a node or a few; of them each `stride`th.
void expect_to_pass(const std::filesystem::path& tests, int at_least, size_t stride = 1) {
  int passed = 0;
  const std::vector<std::filesystem::path> found = onnx::find_tests(tests);
  for (size_t i = 0; i < found.size(); i += stride) {
    const std::filesystem::path& test = found[i];
    const onnx::TestResult result = onnx::run_test(test, run_in_engine);
    if (result.outcome == onnx::TestResult::Outcome::passed) ++passed;
    if (result.outcome != onnx::TestResult::Outcome::failed) continue;
    EXPECT_NE(result.reason.find("which has graphs of its own"), std::string::npos)
        << result.name << ": " << result.reason;
  }
  EXPECT_GE(passed, at_least);
}

TEST(PlainGraphs, PassOnnxsOwnTests) { expect_to_pass(fixtures() / "onnx-node", 130); }

TEST(PlainGraphs, PassAllOfOnnxsOwnTests) {
  INCIPIT_SKIP_WITHOUT_SHARED("onnx-node");
  // Under sanitizers tests/import imports and computes them all.
  expect_to_pass(shared_file("onnx-node"), sanitized ? 150 : 840, sanitized ? 4 : 1);
}

/// From the logits that Transformers computed.
double deviation_of_logits(const std::filesystem::path& model, const std::string& precision) {
  const SafetensorsFile golden = SafetensorsFile::open(model.parent_path() / "golden.safetensors");
  const Tensor ids = golden.load("input_ids"), wanted = golden.load("logits");
  PlainGraph plain(build(import_onnx(model, {}), precision), 2);
  std::map<std::string, Tensor> inputs;
  for (const PlainGraph::Port& port : plain.inputs()) {
    // What is not given as ids is what a decoder has before its first token: nothing.
    Shape shape = ids.shape();
    if (port.extents.size() != 2) {
      for (size_t axis = 0; axis < port.extents.size(); ++axis) {
        if (axis >= shape.size()) shape.push_back(0);
        shape[axis] = axis == 0 ? ids.shape()[0] : 0;
        const std::string& extent = port.extents[axis];
        if (std::all_of(extent.begin(), extent.end(), [](char c) { return c >= '0' && c <= '9'; })) {
          shape[axis] = std::stoll(extent);
        }
      }
    }
    Tensor tensor(port.dtype, shape);
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      const int64_t value = port.name == "input_ids"      ? ids.as<int32_t>()[static_cast<size_t>(i)]
                            : port.name == "position_ids" ? i % shape[1]
                                                          : 1;  // an attention mask
      tensor.as<int64_t>()[static_cast<size_t>(i)] = value;
    }
    inputs.emplace(port.name, std::move(tensor));
  }
  return deviation(plain.run(inputs).at("logits"), wanted);
}

/// Two layers of 16 operands or fewer; tests/end_to_end/test_references.cpp says where the bounds come from.
const std::map<std::string, double> tolerances{{"f32", 1e-5}, {"bf16", 6e-2}, {"fp16", 6e-3}, {"int8", 0.1}};

/// What is a decoder does not depend on names.
TEST(PlainGraphs, MayHaveADecodersNames) {
  Model model;
  model.graph = parse_graph(
      "graph (ids: f32[B, 2], position: f32[B, 2]) -> (logits)\n"
      "rows : f32[B, 2] = Binary(ids, position) {function = \"add\"}\nlogits : f32[B, 2] = Unary(rows) {function = "
      "\"neg\"}\n");
  model.generation_defaults = "{}";
  PlainGraph plain(build_engine(std::move(model)), 2);
  std::map<std::string, Tensor> inputs;
  const float ids[] = {1, 2}, positions[] = {3, 5};
  inputs.emplace("ids", Tensor::of({1, 2}, std::span<const float>(ids)));
  inputs.emplace("position", Tensor::of({1, 2}, std::span<const float>(positions)));
  const std::map<std::string, Tensor> made = plain.run(inputs);
  EXPECT_EQ(made.at("logits").as<float>()[0], -4);
  EXPECT_EQ(made.at("logits").as<float>()[1], -7);
}

TEST(PlainGraphs, ComputeWhatTransformersDoes) {
  for (const char* model : {"gpt-neox/plain_dynamo.onnx", "gemma2/past_torchscript.onnx"}) {
    for (const auto& [precision, tolerance] : tolerances) {
      EXPECT_LT(deviation_of_logits(fixtures() / "reference" / model, precision), tolerance)
          << model << " in " << precision;
    }
  }
}

/// A BERT, with padding in the second of two sequences.
TEST(PlainGraphs, ComputeWhatOnnxRuntimeDoes) {
  const std::filesystem::path encoder = fixtures() / "encoder";
  const std::map<std::string, Tensor> wanted = load_tensors(encoder / "outputs.safetensors");
  for (const auto& [precision, tolerance] : tolerances) {
    PlainGraph plain(build(import_onnx(encoder / "encoder.onnx", {}), precision), 2);
    const std::map<std::string, Tensor> made = plain.run(load_tensors(encoder / "inputs.safetensors"));
    ASSERT_EQ(made.size(), wanted.size());
    for (const auto& [name, tensor] : wanted) {
      EXPECT_LT(deviation(made.at(name), tensor), tolerance) << name << " in " << precision;
    }
  }
}

TEST(PlainGraphs, ComputeWhatTransformersDoesWithEveryExport) {
  INCIPIT_SKIP_WITHOUT_SHARED("reference");
  size_t turn = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(shared_file("reference"))) {
    if (entry.path().extension() != ".onnx") continue;
    if (sanitized && ++turn % 4 != 0) continue;
    EXPECT_LT(deviation_of_logits(entry.path(), "f32"), 1e-5) << entry.path();
  }
}

}  // namespace
}  // namespace incipit
