// ONNX's own tests: those that are kept here, and all of them where they lie beside the project.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "graph/text_form.h"
#include "import/onnx/import_onnx.h"
#include "support/message_of.h"
#include "support/onnx_backend_test.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using onnx::TestResult;
using testing::HasSubstr;

const std::filesystem::path node_fixtures = fixtures() / "onnx-node";

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
  const Sums sums = run_all(node_fixtures);
  EXPECT_EQ(sums.passed, 137);
  EXPECT_EQ(sums.skipped, 1);
}

TEST(OnnxNodeTests, PassAllOfThem) {
  INCIPIT_SKIP_WITHOUT_SHARED("onnx-node");
  const Sums sums = run_all(shared_file("onnx-node"));
  EXPECT_GE(sums.passed, 867);
  EXPECT_LE(sums.skipped, 141);
}

TEST(OnnxNodeTests, SayWhyOneIsSkipped) {
  const TestResult result = onnx::run_test(node_fixtures / "test_quantizelinear_e4m3fn");
  EXPECT_EQ(result.outcome, TestResult::Outcome::skipped);
  EXPECT_THAT(result.reason, HasSubstr("has the element type float8e4m3fn"));
}

TEST(OnnxNodeTests, SayWhyOneFails) {
  const TemporaryDirectory directory;
  const auto copy = [&](const std::string& from, const std::string& to) {
    std::filesystem::copy(node_fixtures / from, directory / to, std::filesystem::copy_options::recursive);
  };
  copy("test_abs", "broken");
  std::ofstream(directory / "broken" / "model.onnx", std::ios::binary) << "no model";
  copy("test_neg", "wrong");
  std::filesystem::copy_file(node_fixtures / "test_neg/test_data_set_0/input_0.pb",
                             directory / "wrong" / "test_data_set_0" / "output_0.pb",
                             std::filesystem::copy_options::overwrite_existing);
  const std::vector<std::filesystem::path> tests = onnx::find_tests(directory.path());
  ASSERT_EQ(tests.size(), 2U);
  const TestResult broken = onnx::run_test(tests[0]), wrong = onnx::run_test(tests[1]);
  EXPECT_EQ(broken.outcome, TestResult::Outcome::failed);
  EXPECT_EQ(broken.name, "broken");
  EXPECT_EQ(wrong.outcome, TestResult::Outcome::failed);
  EXPECT_THAT(wrong.reason, HasSubstr("test_data_set_0: output 0 differs in 60 of 60 elements, first at 0: "));
}

TEST(OnnxNodeTests, NameAPlaceWithoutTests) {
  const TemporaryDirectory directory;
  EXPECT_THAT(message_of([&] { onnx::find_tests(directory.path()); }), HasSubstr("has no test"));
}

/// Graphs of their own included: If, Loop and Scan.
TEST(OnnxNodeTests, ParseBackFromTheirText) {
  int with_graphs = 0;
  for (const std::filesystem::path& test : onnx::find_tests(node_fixtures)) {
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
