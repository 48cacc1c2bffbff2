// Folders of ONNX models, each with inputs and the outputs that ONNX Runtime makes of them. To add a case, add its
// folder.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "import/import.h"
#include "plain_engine.h"
#include "runtime/plain/plain_graph.h"
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
void expect_onnx_runtimes_outputs(const std::filesystem::path& test) {
  SCOPED_TRACE(test.filename().string());
  try {
    PlainGraph plain(build_engine(import_onnx(test / "model.onnx", {})), 2);
    const std::map<std::string, Tensor> made = plain.run(load_tensors(test / "inputs.safetensors"));
    for (const auto& [name, wanted] : load_tensors(test / "expected.safetensors")) {
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

TEST(OnnxCases, ComputeWhatOnnxRuntimeDoes) {
  const std::vector<std::filesystem::path> cases = cases_in(fixtures() / "onnx-cases");
  EXPECT_FALSE(cases.empty());
  for (const std::filesystem::path& test : cases) expect_onnx_runtimes_outputs(test);
}

}  // namespace
}  // namespace incipit
