// Engines of what is no decoder, on the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <string>

#include "base/file.h"
#include "base/safetensors.h"
#include "program.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class RunGraph : public ::testing::Test {
 protected:
  RunGraph() {
    const Ran built =
        run_program({"build", (encoder / "encoder.onnx").string(), "-o", engine, "--precision", "f32", "--no-tune"});
    EXPECT_EQ(built.status, 0) << built.err;
    EXPECT_THAT(built.out, HasSubstr("no decoder, but a plain graph for run-graph (it has no input_ids, or inputs that "
                                     "decoders do not have); 20 of its 61 operations run on kernels\n"));
  }

  Ran run(const std::string& inputs) {
    return run_program({"run-graph", engine, "--inputs", inputs, "--outputs", outputs, "--threads", "2"});
  }

  void expect_one_line(const Ran& ran, const std::string& part) {
    EXPECT_EQ(ran.status, 1) << ran.out;
    EXPECT_EQ(ran.out, "");
    EXPECT_THAT(ran.err, AllOf(StartsWith("incipit: "), HasSubstr(part), EndsWith("\n")));
    EXPECT_EQ(std::ranges::count(ran.err, '\n'), 1) << ran.err;
    EXPECT_FALSE(std::filesystem::exists(outputs));
  }

  /// Runs with what `edit` makes of the right inputs.
  template <typename F>
  Ran run_with(F&& edit) {
    const SafetensorsFile file = SafetensorsFile::open(encoder / "inputs.safetensors");
    std::map<std::string, Tensor> tensors;
    for (const std::string& name : file.names()) tensors.emplace(name, file.load(name));
    edit(tensors);
    write_safetensors(directory / "edited.safetensors", tensors);
    return run(directory / "edited.safetensors");
  }

  const std::filesystem::path encoder = fixtures() / "encoder";
  TemporaryDirectory directory;
  const std::string engine = directory / "encoder.engine", outputs = directory / "made.safetensors";
};

TEST_F(RunGraph, WritesWhatTheGraphMakes) {
  const Ran ran = run(encoder / "inputs.safetensors");
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "");
  const SafetensorsFile made = SafetensorsFile::open(outputs);
  const SafetensorsFile wanted = SafetensorsFile::open(encoder / "outputs.safetensors");
  EXPECT_EQ(made.names(), wanted.names());
  const Tensor ours = made.load("sentence_embedding"), theirs = wanted.load("sentence_embedding");
  ASSERT_EQ(ours.shape(), theirs.shape());
  for (size_t i = 0; i < static_cast<size_t>(ours.elements()); ++i) {
    EXPECT_NEAR(ours.as<float>()[i], theirs.as<float>()[i], 1e-6);
  }
}

TEST_F(RunGraph, ReplacesNothingButItsOwnOutputs) {
  const std::string inputs = encoder / "inputs.safetensors", before = read_text_file(engine);
  for (int time = 0; time < 2; ++time) EXPECT_EQ(run(inputs).status, 0);
  const auto refused = [&](const std::string& to, const std::string& part) {
    const Ran ran = run_program({"run-graph", engine, "--inputs", inputs, "--outputs", to});
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.err, AllOf(StartsWith("incipit: " + to), HasSubstr(part)));
  };
  refused(engine, "which this command reads");
  std::filesystem::create_symlink(inputs, directory / "link");
  refused(directory / "link", "inputs.safetensors, which this command reads");
  // Another's weights, though of the same format.
  const std::string weights = directory / "model.safetensors";
  std::filesystem::copy_file(encoder / "outputs.safetensors", weights);
  refused(weights, "exists and is no file of outputs");
  EXPECT_TRUE(read_text_file(weights) == read_text_file(encoder / "outputs.safetensors"));
  EXPECT_TRUE(read_text_file(engine) == before);
}

TEST_F(RunGraph, RefusesInputsThatDoNotFit) {
  expect_one_line(run("/no/such/file"), "/no/such/file");
  expect_one_line(run_with([](auto& tensors) { tensors.erase("attention_mask"); }),
                  "input attention_mask: is missing; give input_ids i64[batch, seq], ");
  expect_one_line(run_with([](auto& tensors) { tensors.emplace("ids", Tensor(DType::i64, {1})); }),
                  "input ids: is none of the graph's");
  const auto replace = [](Tensor tensor) {
    return [made = std::make_shared<Tensor>(std::move(tensor))](auto& tensors) {
      tensors.at("token_type_ids") = std::move(*made);
    };
  };
  expect_one_line(run_with(replace(Tensor(DType::i32, {2, 7}))), "is i32[2, 7], but the graph takes i64[batch, seq]");
  expect_one_line(run_with(replace(Tensor(DType::i64, {2, 7, 1}))), "is i64[2, 7, 1], but");
  expect_one_line(run_with(replace(Tensor(DType::i64, {2, 8}))), "has 'seq' = 8, but it is 7 in input ");
  // More tokens than there are positions, and an id that is not in the table.
  expect_one_line(run_with([](auto& tensors) {
                    for (auto& [name, tensor] : tensors) tensor = Tensor(DType::i64, {1, 30});
                  }),
                  "encoder.engine: ");
  expect_one_line(run_with([](auto& tensors) { tensors.at("input_ids").template as<int64_t>()[3] = 50; }),
                  "encoder.engine: ");
}

TEST_F(RunGraph, AndRunHaveEachTheirEngines) {
  for (const char* command : {"run", "bench", "eval"}) {
    std::vector<std::string> arguments{command, engine};
    if (std::string(command) == "eval") {
      arguments.insert(arguments.end(), {"--text", (fixtures() / "text/eval.txt").string()});
    }
    if (std::string(command) == "run") arguments.emplace_back("hello");
    expect_one_line(run_program(arguments), "holds a plain graph, which generates no text; use: incipit run-graph");
  }
  const std::string decoder = directory / "decoder.engine";
  ASSERT_EQ(run_program({"build", (fixtures() / "reference/llama-mha").string(), "-o", decoder, "--no-tune",
                         "--no-baseline", "--no-golden"})
                .status,
            0);
  const Ran ran =
      run_program({"run-graph", decoder, "--inputs", (encoder / "inputs.safetensors").string(), "--outputs", outputs});
  expect_one_line(ran, "holds a decoder, and no plain graph; use: incipit run");
}

TEST_F(RunGraph, InspectTellsWhatRunsOnKernels) {
  const Ran summary = run_program({"inspect", engine});
  EXPECT_THAT(summary.out,
              AllOf(HasSubstr("plain graph    no decoder: it has no input_ids"), HasSubstr("input_ids i64[batch, seq]"),
                    HasSubstr("on kernels     20 operations: "), HasSubstr(" 2 Sdpa")));
  const Ran plan = run_program({"inspect", engine, "--plan"});
  EXPECT_THAT(plan.out, AllOf(HasSubstr("activation=gelu_erf"), HasSubstr(" = Sdpa("), HasSubstr("output logits")));
}

}  // namespace
}  // namespace incipit
