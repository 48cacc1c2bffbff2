// Engines from ONNX models, on the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "program.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string reference(const std::string& name) { return fixtures() / "reference" / name; }

void expect_one_line(const Ran& ran, const std::string& part) {
  EXPECT_EQ(ran.status, 1) << ran.out;
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, AllOf(StartsWith("incipit: "), HasSubstr(part), EndsWith("\n")));
  EXPECT_EQ(std::ranges::count(ran.err, '\n'), 1) << ran.err;
}

TEST(BuildOnnx, ComputesWhatTheCheckpointDoes) {
  const TemporaryDirectory directory;
  const std::string engine = directory / "gemma.engine";
  // config.json beside it says how long a sequence may be; nothing brings a tokenizer.
  const Ran built = run_program({"build", reference("gemma2/past_torchscript.onnx"), "-o", engine, "--precision", "f32",
                                 "--no-tune", "--no-baseline", "--no-golden"});
  ASSERT_EQ(built.status, 0) << built.err;
  const Ran verified = run_program({"verify", engine, "--golden", reference("gemma2/golden.safetensors")});
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  const Ran manifest = run_program({"inspect", engine, "--manifest"});
  EXPECT_THAT(manifest.out, AllOf(HasSubstr("ONNX of pytorch"), HasSubstr("past_torchscript.onnx")));
}

TEST(BuildOnnx, AsksForWhatNothingTells) {
  const TemporaryDirectory directory;
  const std::string alone = directory / "alone.onnx", engine = directory / "alone.engine";
  std::filesystem::copy_file(reference("gpt-neox/plain_dynamo.onnx"), alone);
  const std::vector<std::string> build{"build", alone, "-o", engine, "--no-tune", "--no-baseline", "--no-golden"};
  const Ran refused = run_program(build);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("alone.onnx: does not say how long a sequence may be; give --max-context"));
  EXPECT_FALSE(std::filesystem::exists(engine));

  std::vector<std::string> with_length = build;
  with_length.insert(with_length.end(), {"--max-context", "64"});
  EXPECT_EQ(run_program(with_length).status, 0);
}

TEST(BuildOnnx, TakesTheTokenizerFromWhereItIsTold) {
  const TemporaryDirectory directory;
  const std::string engine = directory / "a.engine", model = reference("gpt-neox/plain_dynamo.onnx");
  expect_one_line(run_program({"build", model, "--tokenizer", "/no/such", "-o", engine}), "/no/such: is no directory");
  expect_one_line(run_program({"build", reference("gpt2"), "--tokenizer", reference("gpt2"), "-o", engine}),
                  "give --tokenizer with an ONNX file only");
}

TEST(BuildOnnx, RefusesWhatIsNoModel) {
  const TemporaryDirectory directory;
  const std::string engine = directory / "a.engine";
  std::ofstream(directory / "text.onnx") << "not a model";
  expect_one_line(run_program({"build", directory / "text.onnx", "-o", engine}), "no ONNX model");
  EXPECT_FALSE(std::filesystem::exists(engine));
}

TEST(InspectOnnx, TellsTheStoryOfItsPasses) {
  const std::string model = reference("gpt-neox/plain_dynamo.onnx");
  const Ran passes = run_program({"inspect", model, "--passes"});
  EXPECT_EQ(passes.status, 0) << passes.err;
  EXPECT_THAT(passes.out, AllOf(HasSubstr("raise_attention"), HasSubstr("pack_tokens")));
  EXPECT_THAT(run_program({"inspect", model, "--graph", "--after", "raise_attention"}).out, HasSubstr("Sdpa("));
  EXPECT_THAT(run_program({"inspect", model, "--graph", "--after", "pack_tokens"}).out, HasSubstr("KvWrite("));
}

}  // namespace
}  // namespace incipit
