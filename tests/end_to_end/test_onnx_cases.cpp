// Folders of ONNX models, each with inputs and the outputs that ONNX Runtime makes of them. To add a case, add its
// folder.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "import/import.h"
#include "plain_engine.h"
#include "runtime/plain/plain_graph.h"
#include "support/sanitized.h"
#include "support/shared_files.h"

namespace incipit {
namespace {

std::vector<std::filesystem::path> cases_in(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> cases;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (std::filesystem::exists(entry.path() / "model.onnx")) cases.push_back(entry.path());
  }
  std::sort(cases.begin(), cases.end());
  return cases;
}

/// Sums of some hundred products in f32, in another order than ONNX Runtime's; of numbers below 1 the difference
/// itself.
constexpr double tolerance = 1e-4;
/// Outputs in f16 are rounded, and ONNX Runtime rounds some of what goes into them.
constexpr double tolerance_of_halves = 0x1p-9;

/// As `build` and `run-graph` do, without another option than the precision.
void expect_outputs(const std::filesystem::path& test, const std::map<std::string, Tensor>& all_wanted) {
  SCOPED_TRACE(test.filename().string());
  try {
    PlainGraph plain(build_engine(import_onnx(test / "model.onnx", {})), 2);
    const std::map<std::string, Tensor> made = plain.run(load_tensors(test / "inputs.safetensors"));
    for (const auto& [name, wanted] : all_wanted) {
      const auto found = made.find(name);
      if (found == made.end()) {
        ADD_FAILURE() << "has no output " << name;
        continue;
      }
      EXPECT_EQ(found->second.dtype(), wanted.dtype()) << name;
      EXPECT_EQ(found->second.shape(), wanted.shape()) << name;
      EXPECT_LE(deviation(found->second, wanted, 1), wanted.dtype() == DType::f16 ? tolerance_of_halves : tolerance)
          << name;
    }
  } catch (const Error& error) {
    ADD_FAILURE() << error.what();
  }
}

void expect_onnx_runtimes_outputs(const std::filesystem::path& test) {
  expect_outputs(test, load_tensors(test / "expected.safetensors"));
}

TEST(OnnxCases, ComputeWhatOnnxRuntimeDoes) {
  const std::vector<std::filesystem::path> cases = cases_in(fixtures() / "onnx-cases");
  EXPECT_FALSE(cases.empty());
  size_t turn = 0;
  for (const std::filesystem::path& test : cases) {
    if (sanitized && ++turn % 3 != 0) continue;
    expect_onnx_runtimes_outputs(test);
  }
}

/// This export was made in training mode: its dropout is switched on, at last the one that makes the output. There ONNX
/// Runtime (which leaves out the others) drops elements at random and divides those that it keeps by 0.9. An engine
/// does not train. What PyTorch computes in evaluation mode, ONNX Runtime does with the same weights in the other
/// export.
const std::string trained_export = "t5-encoder-dynamo", evaluated_export = "t5-encoder-torchscript";

TEST(OnnxCases, ComputeWhatOnnxRuntimeDoesWithEncoders) {
  INCIPIT_SKIP_WITHOUT_SHARED("encoders");
  size_t turn = 0;
  for (const std::filesystem::path& test : cases_in(shared_file("encoders"))) {
    if (sanitized && ++turn % 4 != 0) continue;
    if (test.filename() != trained_export) {
      expect_onnx_runtimes_outputs(test);
      continue;
    }
    const std::filesystem::path evaluated = test.parent_path() / evaluated_export / "expected.safetensors";
    expect_outputs(test, load_tensors(evaluated));
    const Tensor dropped = std::move(load_tensors(test / "expected.safetensors").begin()->second);
    const Tensor whole = std::move(load_tensors(evaluated).begin()->second);
    for (int64_t i = 0; i < whole.elements(); ++i) {
      const float theirs = dropped.as<float>()[static_cast<size_t>(i)];
      const float kept = whole.as<float>()[static_cast<size_t>(i)] / 0.9F;
      EXPECT_TRUE(theirs == 0 || std::abs(theirs - kept) < 2e-5F) << i << ": " << theirs << " " << kept;
    }
  }
}

}  // namespace
}  // namespace incipit
