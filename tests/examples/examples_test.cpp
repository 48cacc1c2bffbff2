// What ARCHITECTURE.md's table "Adding things" says is enough: each folder here adds something by the files of its row,
// and this is what it gets for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/target.h"
#include "compile/lower.h"
#include "graph/text_form.h"
#include "import/import.h"
#include "kernels/gather_case.h"
#include "kernels/kernel_checks.h"
#include "passes/pass.h"
#include "primitives/primitive.h"
#include "quant/format.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"
#include "tune/tuner.h"

namespace incipit {
namespace {

TEST(AddedKernel, IsTestedAndACandidate) {
  ASSERT_NE(find_kernel<GatherRows>("gather_rows/example"), nullptr);
  check_kernels<GatherRows>(GatherRows::kernels());
  TuningCache cache;
  Tuner tuner(cache, {this_machine(), 2, 0.01, false});
  EXPECT_EQ(tuner.choose({to_text(GatherRows::Problem{64, DType::f32}), 8}).kernel, "gather_rows/example");
}

TEST(AddedPass, RunsWhereItStandsInTheList) {
  Graph graph = parse_graph(
      "graph (x: f32[N, 4]) -> (z)\n"
      "const b : f32[4] = {1, 2, 3, 4}\n"
      "w : f32[N, 4] = Add(x, b)\n"
      "y : f32[N, 4] = Scale(w) {factor = 1}\n"
      "z : f32[N, 4] = Add(y, b)\n");
  PassOptions options;
  std::string after;
  options.after = [&](std::string_view pass, const Graph& now) {
    if (pass == "drop_unit_scales") after = to_text(now);
  };
  run_passes(graph, options);
  EXPECT_EQ(after,
            "graph (x: f32[N, 4]) -> (z)\n"
            "const b : f32[4] = {1, 2, 3, 4}\n"
            "y : f32[N, 4] = Add(x, b)  # w\n"
            "z : f32[N, 4] = Add(y, b)\n");
}

constexpr const char* twice_graph =
    "graph (ids: i32[T], position: i32[T], rows: i32[R]) -> (logits)\n"
    "const table : f32[2, 4] = {1, 2, 3, 4, 5, 6, 7, 8}\n"
    "x : f32[T, 4] = Embedding(ids, table)\n"
    "y : f32[T, 4] = Twice(x)\n"
    "logits : f32[R, 4] = GatherRows(y, rows)\n";

TEST(AddedOp, IsParsedInterpretedAndLowered) {
  Model model;
  model.graph = parse_graph(twice_graph);
  verify(model.graph);
  EXPECT_EQ(to_text(model.graph), twice_graph);
  const auto integers = [](int32_t value) {
    Tensor tensor(DType::i32, {1});
    tensor.as<int32_t>()[0] = value;
    return tensor;
  };
  const Tensor id = integers(1), position = integers(0), row = integers(0);
  const Tensor* inputs[] = {&id, &position, &row};
  ReferenceCache cache;
  const std::vector<Tensor> logits = interpret(model.graph, inputs, cache);
  EXPECT_THAT(logits.at(0).as<float>(), testing::ElementsAre(10, 12, 14, 16));
  const PlanDraft draft = lower(model, {});
  EXPECT_TRUE(std::ranges::any_of(draft.plan.steps, [](const plan::StepT& step) {
    return step.name == "y" && step.problem.starts_with("elementwise");
  }));
}

TEST(AddedPrimitive, ComputesInEnginesAndInGraphs) {
  Tensor x(DType::f32, {2});
  x.as<float>()[0] = 2, x.as<float>()[1] = -3;
  const Tensor* inputs[] = {&x};
  const auto primitive = primitives::make_primitive("Cube");
  ASSERT_NE(primitive, nullptr);
  EXPECT_THAT(primitive->compute(inputs).at(0).as<float>(), testing::ElementsAre(8, -27));
  const Graph graph = parse_graph("graph (x: f32[N]) -> (y)\ny : f32[N] = Cube(x)\n");
  verify(graph);
  ReferenceCache cache;
  const std::vector<Tensor> made = interpret(graph, inputs, cache);
  EXPECT_THAT(made.at(0).as<float>(), testing::ElementsAre(8, -27));
}

TEST(AddedFormat, QuantisesProducts) {
  EXPECT_THAT(weight_format_names(), testing::Contains("grouped-i8"));
  Graph graph = parse_graph(
      "graph (x: f32[N, 96]) -> (y)\n"
      "const w : f32[3, 96] = random(1, 0.5)\n"
      "y : f32[N, 3] = Linear(x, w)\n");
  Tensor x(DType::f32, {2, 96});
  for (size_t i = 0; i < x.as<float>().size(); ++i) x.as<float>()[i] = static_cast<float>(i % 7) - 3;
  const Tensor* inputs[] = {&x};
  ReferenceCache cache;
  const std::vector<Tensor> exact = interpret(graph, inputs, cache);
  PassOptions options;
  options.precision = "grouped-i8";
  run_passes(graph, options);
  EXPECT_THAT(to_text(graph), testing::HasSubstr("{format = \"i8:f32:1x32:bf16\"}"));
  const std::vector<Tensor> made = interpret(graph, inputs, cache);
  for (size_t i = 0; i < 6; ++i) {
    const float wanted = exact.at(0).as<float>()[i];
    EXPECT_NEAR(made.at(0).as<float>()[i], wanted, 0.3) << i;  // 96 products, each off by 0.007 or so
    EXPECT_NE(made.at(0).as<float>()[i], wanted);
  }
}

TEST(AddedTarget, HasAName) {
  const Target target = named_target("cpu-example");
  EXPECT_EQ(target.backend, Backend::cpu);
  EXPECT_EQ(to_string(target), "avx2,avx512");
  EXPECT_EQ(best_name(target), "cpu-example");
  EXPECT_THAT(named_targets(), testing::Contains(testing::Field(&NamedTarget::name, "cpu-example")));
}

TEST(AddedArchitecture, IsImported) {
  const TemporaryDirectory directory;
  const std::filesystem::path llama = fixtures() / "reference" / "llama-mha", example = directory / "example";
  std::filesystem::copy(llama, example);
  std::string config = read_text_file(llama / "config.json");
  const std::string name = "LlamaForCausalLM";
  config.replace(config.find(name), name.size(), "ExampleForCausalLM");
  std::ofstream(example / "config.json") << config;
  const Model made = import_model(example);
  EXPECT_EQ(made.architecture, "ExampleForCausalLM");
  EXPECT_EQ(to_text(made.graph), to_text(import_model(llama).graph));
}

}  // namespace
}  // namespace incipit
