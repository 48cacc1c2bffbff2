// --memory is one promise of two programs: what a build accepts, a run must be able to open.
#include <gtest/gtest.h>

#include "base/error.h"
#include "support/driver.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

class Memory : public testing::TestWithParam<std::string> {};

TEST_P(Memory, TheLeastThatABuildAcceptsHoldsASequenceAtRunTime) {
  const TemporaryDirectory directory;
  const std::filesystem::path model = fixtures() / "reference" / "qwen2";
  CompileOptions options;
  options.precision = GetParam();
  options.tune = false;
  options.memory = 1;
  try {
    compile_for_test(model, directory / "small.engine", options);
    FAIL() << "one byte was accepted";
  } catch (const Error& error) {
    constexpr std::string_view before = "give at least ";
    const std::string& remedy = error.remedy();
    ASSERT_EQ(remedy.rfind(before, 0), 0U) << error.what();
    options.memory = std::stoll(remedy.substr(before.size()));
  }
  Driver driver(compile_for_test(model, directory / "least.engine", options), make_test_device("cpu"));
  const int32_t context = driver.executor().limits().max_context;
  for (const ExecutorLimits::Group& group : driver.executor().limits().groups) {
    EXPECT_GE(group.pages * group.page_tokens, context);
  }
  driver.start(0);
  EXPECT_EQ(driver.step({{0, {1, 2, 3}, {2}}}).size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(All, Memory, testing::Values("f32", "bf16", "fp16", "int8"));

}  // namespace
}  // namespace incipit
