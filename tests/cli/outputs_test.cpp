// No command writes over what is not its own.
#include "cli/outputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "measure/trace.h"
#include "program.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

std::string fault_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(Outputs, AreNewOrOurs) {
  const TemporaryDirectory directory;
  const auto is_ours = [](std::string_view beginning) { return beginning.starts_with("ours"); };
  const auto fault = [&](const std::filesystem::path& path) {
    return fault_of([&] { check_output({path, "--out", "thing", is_ours}, {}); });
  };
  EXPECT_EQ(fault(directory / "new"), "");
  write(directory / "empty", "");
  EXPECT_EQ(fault(directory / "empty"), "");
  write(directory / "ours", "ours, and more");
  EXPECT_EQ(fault(directory / "ours"), "");
  write(directory / "theirs", "theirs");
  EXPECT_THAT(fault(directory / "theirs"), HasSubstr("exists and is no thing; choose another --out, or remove it"));
  EXPECT_THAT(fault(directory.path()), HasSubstr("is a directory"));
  EXPECT_THAT(fault(directory / "no" / "where"), HasSubstr("there is no directory"));
  EXPECT_THAT(fault("/dev/null"), HasSubstr("is no regular file"));
  EXPECT_THAT(fault(""), HasSubstr("the name is empty"));
  EXPECT_THAT(fault("-"), HasSubstr("standard output"));
  std::filesystem::create_symlink("gone", directory / "dangling");
  EXPECT_THAT(fault(directory / "dangling"), HasSubstr("is a link to gone, which does not exist"));
}

TEST(Outputs, AreNoInputs) {
  const TemporaryDirectory directory;
  write(directory / "input", "");
  std::filesystem::create_symlink("input", directory / "soft");
  std::filesystem::create_hard_link(directory / "input", directory / "hard");
  std::filesystem::create_directory(directory / "sub");
  for (const std::filesystem::path& path :
       {directory / "input", directory / "soft", directory / "hard", directory / "sub" / ".." / "input"}) {
    EXPECT_THAT(fault_of([&] {
                  check_output({path, "--out", "thing"}, {"", directory / "input"});
                }),
                AllOf(StartsWith(path.string()), HasSubstr("which this command reads; choose another --out")));
  }
  // Two outputs of one name, before either is there.
  EXPECT_NE(fault_of([&] { check_output({directory / "a", "--out", "thing"}, {directory / "sub" / ".." / "a"}); }), "");
}

void expect_refused(const Ran& ran, const std::string& part) {
  EXPECT_EQ(ran.status, 1) << ran.out << ran.err;
  EXPECT_THAT(ran.err, AllOf(StartsWith("incipit: "), HasSubstr(part)));
  EXPECT_EQ(std::ranges::count(ran.err, '\n'), 1) << ran.err;
}

class Written : public testing::Test {
 protected:
  Written() {
    const Ran ran = run_program({"build", source_directory() / "models" / "classics-16m", "-o", engine, "--precision",
                                 "f32", "--no-tune", "--no-baseline", "--max-context", "64"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    write(mine, "a line of mine\nand one without end");
  }
  void expect_untouched(const std::filesystem::path& path, const std::string& before) {
    EXPECT_TRUE(read_text_file(path) == before) << path;
  }
  const TemporaryDirectory directory;
  const std::string engine = directory / "x.engine", mine = directory / "mine.txt";
};

TEST_F(Written, ATraceReplacesATraceAndNothingElse) {
  const std::string trace = directory / "trace.json", before = read_text_file(engine), text = read_text_file(mine);
  const auto bench = [&](const std::string& to) {
    return run_program({"bench", engine, "--prompt", "4", "--decode", "1", "--repeat", "1", "--threads", "1",
                        "--no-save", "--trace", to});
  };
  expect_refused(bench(mine), "exists and is no trace");
  expect_untouched(mine, text);
  std::filesystem::create_symlink(engine, directory / "link");
  expect_refused(bench(directory / "link"), "x.engine, which this command reads");
  expect_untouched(engine, before);
  write(trace, std::string(trace_beginning) + "]}");
  bench(trace);
  EXPECT_THAT(read_text_file(trace), AllOf(StartsWith(trace_beginning), HasSubstr("decode")));
}

TEST_F(Written, AnswersAreAppendedToAnswersAlone) {
  const std::string input = directory / "in", out = directory / "out", before = read_text_file(engine);
  write(input, R"({"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": {"prompt": "x"}})");
  const auto batch = [&](const std::string& to) { return run_program({"run", engine, "--batch", input, "--out", to}); };
  for (const std::string text : {"no line of ours", R"({"a": 1})", R"({"id":"batch_req_z)", "one\ntwo\n", "one\ntwo"}) {
    write(out, text);
    expect_refused(batch(out), "holds no answers of ours: line 1 is none; choose another --out");
    expect_untouched(out, text);
  }
  expect_refused(batch(engine), "which this command reads");
  expect_refused(batch(input), "which this command reads");
  expect_untouched(engine, before);
  expect_refused(batch(directory / "no" / "where"), "there is no directory");
  std::filesystem::remove(out);
  EXPECT_EQ(batch(out).status, 0);
}

TEST_F(Written, AnEngineIsNoFileOfRequests) {
  const std::string out = directory / "out";
  expect_refused(run_program({"run", engine, "--batch", engine, "--out", out}), "is no file of requests: none of its");
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(Written, AnEngineReplacesAnEngineAlone) {
  const std::string model = source_directory() / "models" / "classics-16m", cache = directory / "cache";
  expect_refused(run_program({"build", model, "-o", mine}), "exists and is no engine");
  expect_refused(run_program({"build", model, "-o", cache, "--tuning-cache", cache}), "which this command reads");
  expect_refused(run_program({"build", engine, "-o", directory / "y.engine"}), "is an engine already");
  expect_refused(run_program({"build", model, "-o", directory / "y.engine", "--tuning-cache", directory / "no" / "c"}),
                 "there is no directory");
}

}  // namespace
}  // namespace incipit::cli
