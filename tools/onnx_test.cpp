// Runs tests in the layout of ONNX's own backend tests on the graph's interpreter.
//
//   onnx_test DIRECTORY…
//
// A directory is a test, with model.onnx and test_data_set_N, or holds some. Those that fail or are skipped are told
// with the reason, in a line each, and then the sums. The exit status is 1 where one has failed.
#include <fmt/format.h>

#include <exception>
#include <filesystem>

#include "support/onnx_backend_test.h"

namespace incipit {
namespace {

int run_tests(const std::vector<std::filesystem::path>& directories) {
  using Outcome = onnx::TestResult::Outcome;
  int passed = 0, failed = 0, skipped = 0;
  for (const std::filesystem::path& directory : directories) {
    for (const std::filesystem::path& test : onnx::find_tests(directory)) {
      const onnx::TestResult result = onnx::run_test(test);
      if (result.outcome == Outcome::passed) {
        ++passed;
        continue;
      }
      const bool has_failed = result.outcome == Outcome::failed;
      ++(has_failed ? failed : skipped);
      fmt::print("{}: {}: {}\n", has_failed ? "failed" : "skipped", result.name, result.reason);
    }
  }
  fmt::print("{} passed, {} failed, {} skipped\n", passed, failed, skipped);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace incipit

int main(int count, char** arguments) {
  if (count < 2) {
    fmt::print(stderr, "usage: onnx_test DIRECTORY…\n");
    return 2;
  }
  try {
    return incipit::run_tests({arguments + 1, arguments + count});
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
