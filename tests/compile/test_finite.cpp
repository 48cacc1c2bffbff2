// Weights that are no numbers are refused by the names of their tensors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "compile/compile.h"
#include "import/spoilable.h"
#include "support/onnx_bytes.h"

namespace incipit {
namespace {

using testing::HasSubstr;

constexpr float infinity = std::numeric_limits<float>::infinity();

/// What the build of a model says; "accepted".
std::string build(const std::filesystem::path& model, const std::string& precision, bool allow = false) {
  const TemporaryDirectory directory;
  CompileOptions options;
  options.precision = precision;
  options.tune = false;
  options.allow_non_finite = allow;
  Progress quiet(false);
  try {
    compile(import_from(model, {}, {.allow_non_finite = allow}), options, directory / "out.engine", quiet);
  } catch (const Error& error) {
    EXPECT_FALSE(std::filesystem::exists(directory / "out.engine"));
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
    return error.what();
  }
  return "accepted";
}

void spoil(Spoilable& model, const std::string& tensor, float value) {
  Tensor& spoiled = model.tensors.at(tensor);
  convert_from_float(&value, spoiled.dtype(), spoiled.data() + 69 % spoiled.elements() * size_of(spoiled.dtype()), 1);
}

class FiniteWeights : public testing::TestWithParam<std::string> {};

TEST_P(FiniteWeights, OfACheckpointAreNamedIfTheyAreNone) {
  for (const std::string tensor : {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight",
                                   "model.layers.1.input_layernorm.weight", "model.layers.0.self_attn.k_proj.weight",
                                   "model.layers.1.mlp.down_proj.weight", "model.layers.0.mlp.gate_proj.weight"}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      Spoilable model("llama-mha");
      model.convert(dtype);
      spoil(model, tensor, dtype == DType::f32 ? -infinity : NAN);
      model.save();
      const std::string wanted = tensor + ": holds " + (dtype == DType::f32 ? "an infinity" : "NaN");
      EXPECT_THAT(build(model.path(), GetParam()), HasSubstr(wanted)) << name_of(dtype);
    }
  }
}

TEST_P(FiniteWeights, OfAnOnnxModelAreNamedIfTheyAreNone) {
  using namespace onnx_bytes;
  const TemporaryDirectory directory;
  const auto save = [&](float weight, float mask) {
    OnnxGraph graph;
    graph.inputs = {value("x", f32, {"n", "2"})};
    graph.outputs = {value("y", f32, {"n", "2"})};
    graph.initializers = {floats("the weight", {2, 2}, {1, 2, weight, 4}), floats("the mask", {2}, {0, mask})};
    graph.nodes = {node("MatMul", {"x", "the weight"}, {"product"}), node("Relu", {"product"}, {"positive"}),
                   node("Max", {"positive", "the mask"}, {"y"})};
    write_file(directory / "m.onnx", model(graph));
  };
  save(3, -infinity);  // a mask
  EXPECT_EQ(build(directory / "m.onnx", GetParam()), "accepted");
  save(NAN, 0);
  EXPECT_THAT(build(directory / "m.onnx", GetParam()), HasSubstr("m.onnx: tensor 'the weight': holds NaN"));
  save(infinity, 0);
  EXPECT_THAT(build(directory / "m.onnx", GetParam()), HasSubstr("tensor 'the weight': holds an infinity"));
}

INSTANTIATE_TEST_SUITE_P(Precisions, FiniteWeights, testing::Values("f32", "bf16", "fp16", "int8"));

TEST(FiniteWeightsOnce, MayBeNoneWhenAskedFor) {
  Spoilable model("llama-mha");
  spoil(model, "model.layers.0.self_attn.k_proj.weight", NAN);
  spoil(model, "model.norm.weight", infinity);
  model.save();
  EXPECT_EQ(build(model.path(), "f32", true), "accepted");
  EXPECT_EQ(build(model.path(), "bf16", true), "accepted");
}

TEST(FiniteWeightsOnce, RoundingAndScalingMustLeaveThemSo) {
  Spoilable model("llama-mha");
  spoil(model, "model.layers.1.mlp.down_proj.weight", std::numeric_limits<float>::max());
  model.save();
  EXPECT_EQ(build(model.path(), "f32"), "accepted");
  EXPECT_THAT(build(model.path(), "bf16"), HasSubstr("holds an infinity"));
}

}  // namespace
}  // namespace incipit
