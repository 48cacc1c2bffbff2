// incipit onnx-test: runs tests in the layout of ONNX's own.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/options.h"
#include "import/onnx/backend_test.h"

namespace incipit::cli {
namespace {

struct OnnxTestOptions {
  std::vector<std::filesystem::path> directories;
  bool json = false;
};

std::string_view name_of(onnx::TestResult::Outcome outcome) {
  switch (outcome) {
    case onnx::TestResult::Outcome::passed: return "passed";
    case onnx::TestResult::Outcome::failed: return "failed";
    case onnx::TestResult::Outcome::skipped: return "skipped";
  }
  return "unknown";
}

void report(const onnx::TestResult& result, bool json) {
  const std::string_view outcome = name_of(result.outcome);
  if (json) {
    print_json(boost::json::object{{"test", result.name}, {"outcome", outcome}, {"reason", result.reason}});
  } else if (result.outcome != onnx::TestResult::Outcome::passed) {
    print(fmt::format("{}: {}: {}\n", outcome, result.name, result.reason));
  }
}

int onnx_test(const OnnxTestOptions& options) {
  int passed = 0, failed = 0, skipped = 0;
  for (const std::filesystem::path& directory : options.directories) {
    for (const std::filesystem::path& test : onnx::find_tests(directory)) {
      const onnx::TestResult result = onnx::run_test(test);
      switch (result.outcome) {
        case onnx::TestResult::Outcome::passed: ++passed; break;
        case onnx::TestResult::Outcome::failed: ++failed; break;
        case onnx::TestResult::Outcome::skipped: ++skipped; break;
      }
      report(result, options.json);
    }
  }
  if (options.json) {
    print_json(boost::json::object{{"passed", passed}, {"failed", failed}, {"skipped", skipped}});
  } else {
    print(fmt::format("{} passed, {} failed, {} skipped\n", passed, failed, skipped));
  }
  return failed == 0 ? 0 : exit_failure;
}

}  // namespace

void add_onnx_test(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("onnx-test", "Run tests in the layout of ONNX's own backend tests");
  const auto options = std::make_shared<OnnxTestOptions>();
  command
      ->add_option("DIR", options->directories,
                   "Tests, each with model.onnx and test_data_set_N, or directories of them")
      ->required();
  command->add_flag("--json", options->json, "A JSON object a line: each test, then the sum");
  command->callback([options, &action] { action = [options] { return onnx_test(*options); }; });
}

}  // namespace incipit::cli
