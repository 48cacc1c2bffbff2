// ONNX's own tests: those that are kept here, and all of them where they lie beside the project.
#include <gtest/gtest.h>

#include "import/onnx/backend_test.h"
#include "import/onnx/import_onnx.h"
#include "support/shared_files.h"

namespace incipit {
namespace {

using onnx::TestResult;

struct Sums {
  int passed = 0, skipped = 0;
};

Sums run_all(const std::filesystem::path& directory) {
  Sums sums;
  for (const std::filesystem::path& test : onnx::find_tests(directory)) {
    const TestResult result = onnx::run_test(test);
    EXPECT_NE(result.outcome, TestResult::Outcome::failed) << result.name << ": " << result.reason;
    if (result.outcome == TestResult::Outcome::passed) ++sums.passed;
    if (result.outcome == TestResult::Outcome::skipped) {
      ++sums.skipped;
      const bool is_exotic = result.reason.find("has the element type") != std::string::npos ||
                             result.reason.find("is no tensor") != std::string::npos ||
                             result.reason.find("is a sequence or optional") != std::string::npos;
      EXPECT_TRUE(is_exotic) << result.name << ": " << result.reason;
    }
  }
  return sums;
}

TEST(OnnxNodeTests, PassThoseOfTheFixtures) {
  const Sums sums = run_all(fixtures() / "onnx-node");
  EXPECT_EQ(sums.passed, 137);
  EXPECT_EQ(sums.skipped, 1);
}

TEST(OnnxNodeTests, PassAllOfThem) {
  INCIPIT_SKIP_WITHOUT_SHARED("onnx-node");
  const Sums sums = run_all(shared_file("onnx-node"));
  EXPECT_GE(sums.passed, 867);
  EXPECT_LE(sums.skipped, 141);
}

/// Graphs of their own included: If, Loop and Scan.
TEST(OnnxNodeTests, ParseBackFromTheirText) {
  int with_graphs = 0;
  for (const std::filesystem::path& test : onnx::find_tests(fixtures() / "onnx-node")) {
    Graph graph;
    try {
      graph = import_onnx_graph(onnx::read_model(test / "model.onnx"));
    } catch (const Error&) {
      continue;  // what inputs hold has to be known, or a type is exotic
    }
    const std::string text = to_text(graph);
    EXPECT_EQ(to_text(parse_graph(text)), text) << test;
    with_graphs += text.find("\n| ") != std::string::npos ? 1 : 0;
  }
  EXPECT_GE(with_graphs, 5);
}

}  // namespace
}  // namespace incipit
