// onnx-test says what passed, what failed and why, and what was skipped and why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "program.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using testing::HasSubstr;

const std::filesystem::path tests = fixtures() / "onnx-node";

TEST(OnnxTest, CountsAndEndsWithTheSum) {
  const Ran one = run_program({"onnx-test", (tests / "test_abs").string()});
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_EQ(one.out, "1 passed, 0 failed, 0 skipped\n");
  const Ran two =
      run_program({"onnx-test", (tests / "test_abs").string(), (tests / "test_quantizelinear_e4m3fn").string()});
  EXPECT_EQ(two.status, 0) << two.err;
  EXPECT_THAT(two.out, HasSubstr("skipped: test_quantizelinear_e4m3fn: "));
  EXPECT_THAT(two.out, HasSubstr("has the element type float8e4m3fn"));
  EXPECT_THAT(two.out, HasSubstr("\n1 passed, 0 failed, 1 skipped\n"));
}

TEST(OnnxTest, AFailureIsToldAndDoesNotEndTheRun) {
  const TemporaryDirectory directory;
  const auto copy = [&](const std::string& from, const std::string& to) {
    std::filesystem::copy(tests / from, directory / to, std::filesystem::copy_options::recursive);
  };
  copy("test_abs", "right");
  copy("test_abs", "broken");
  std::ofstream(directory / "broken" / "model.onnx", std::ios::binary) << "no model";
  copy("test_neg", "wrong");
  std::filesystem::copy_file(tests / "test_neg/test_data_set_0/input_0.pb",
                             directory / "wrong" / "test_data_set_0" / "output_0.pb",
                             std::filesystem::copy_options::overwrite_existing);
  const Ran ran = run_program({"onnx-test", directory.path().string()});
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.out, HasSubstr("failed: broken: "));
  EXPECT_THAT(ran.out,
              HasSubstr("failed: wrong: test_data_set_0: output 0 differs in 60 of 60 elements, first at 0: "));
  EXPECT_THAT(ran.out, HasSubstr("\n1 passed, 2 failed, 0 skipped\n"));
  const Ran json = run_program({"onnx-test", directory.path().string(), "--json"});
  EXPECT_THAT(json.out, HasSubstr(R"({"test":"right","outcome":"passed","reason":""})"));
  EXPECT_THAT(json.out, HasSubstr(R"({"passed":1,"failed":2,"skipped":0})"));
}

TEST(OnnxTest, NamesAPlaceWithoutTests) {
  const TemporaryDirectory directory;
  const Ran ran = run_program({"onnx-test", directory.path().string()});
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("has no test"));
}

}  // namespace
}  // namespace incipit
