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
#include "engines.h"
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
  EXPECT_EQ(fault(directory / "dangling"), "") << "the file that it leads to is made";
  std::filesystem::create_symlink("no/where", directory / "lost");
  EXPECT_THAT(fault(directory / "lost"),
              AllOf(StartsWith((directory / "lost").string() + ": is a link to "),
                    HasSubstr("no/where, and there is no directory"), HasSubstr("create it, or choose another --out")));
  std::filesystem::create_symlink("theirs", directory / "link");
  EXPECT_THAT(fault(directory / "link"), HasSubstr("link: exists and is no thing"));
  std::filesystem::create_symlink("round", directory / "round");
  EXPECT_THAT(fault(directory / "round"), HasSubstr("in a circle"));
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
    std::filesystem::copy_file(tiny_engine(), engine);
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
  const std::string input = directory / "in", out = directory / "out", engine = directory / "text.engine";
  std::filesystem::copy_file(classics_engine(), engine);
  const std::string before = read_text_file(engine);
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

TEST_F(Written, AnEngineIsWrittenWhereALinkLeads) {
  std::filesystem::create_directory(directory / "store");
  const auto build = [&](const char* link) {
    return run_program({"build", tiny_model, "-o", directory / link, "--no-tune", "--no-baseline", "--no-golden",
                        "--max-context", "64"});
  };
  std::filesystem::copy_file(engine, directory / "store" / "old.engine");
  for (const std::string name : {"old", "new"}) {
    std::filesystem::create_symlink("store/" + name + ".engine", directory / name);
    const Ran ran = build(name.c_str());
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_TRUE(std::filesystem::is_symlink(directory / name));
    EXPECT_THAT(run_program({"inspect", directory / "store" / (name + ".engine")}).out, HasSubstr("bf16"));
  }
  std::filesystem::create_symlink("nowhere/x.engine", directory / "lost");
  expect_refused(build("lost"), "nowhere/x.engine, and there is no directory");
  std::filesystem::create_symlink("mine.txt", directory / "precious");
  const std::string before = read_text_file(mine);
  expect_refused(build("precious"), "exists and is no engine");
  expect_untouched(mine, before);
}

/// Runs the program with standard output appended to a file, and `input` on standard input.
int append_to(const std::filesystem::path& file, const std::vector<std::string>& arguments, const std::string& told,
              const std::string& input = "/dev/null") {
  return wait_for_program(start_program(arguments, [&] {
    const auto lead = [](int descriptor, const std::string& path, int flags) {
      ::dup2(::open(path.c_str(), flags, 0666), descriptor);
    };
    lead(STDIN_FILENO, input, O_RDONLY);
    lead(STDOUT_FILENO, file, O_WRONLY | O_APPEND | O_CREAT);
    lead(STDERR_FILENO, told, O_WRONLY | O_CREAT | O_TRUNC);
  }));
}

TEST_F(Written, NothingIsAppendedToWhatIsRead) {
  const std::string told = directory / "err", in = directory / "in", tokens = directory / "tokens";
  write(in, R"({"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": {"prompt": "x"}})"
            "\n");
  write(tokens, "[1, 2, 3]");
  std::filesystem::create_symlink("in", directory / "link");
  const std::string model = classics;
  const std::vector<std::pair<std::string, std::vector<std::string>>> named{
      {in, {"run", engine, "--batch", in, "--out", "-"}},
      {in, {"run", engine, "--batch", directory / "link", "--out", "-"}},
      {engine, {"run", engine, "x"}},
      {engine, {"inspect", engine}},
      {engine, {"bench", engine}},
      {engine, {"tokenize", engine}},
      {engine, {"detokenize", engine}},
      {engine, {"build", engine, "-o", directory / "y.engine"}},
      {in, {"render", model, "--context", in}},
      {in, {"render", in, "--context", mine}},
      {in, {"eval", engine, "--text", in}},
      {in, {"verify", engine, "--golden", in}}};
  for (const auto& [file, arguments] : named) {
    const std::string before = read_text_file(file);
    EXPECT_EQ(append_to(file, arguments, told), 2) << arguments.front();
    EXPECT_THAT(read_text_file(told), HasSubstr("is the file that standard output is written to")) << arguments.front();
    expect_untouched(file, before);
  }
  const std::vector<std::vector<std::string>> by_stream{{"run", classics_engine(), "--batch", "-", "--out", "-"},
                                                        {"run", classics_engine()},
                                                        {"run", classics_engine(), "--chat"},
                                                        {"tokenize", classics_engine()},
                                                        {"eval", classics_engine(), "--text", "-"},
                                                        {"render", model, "--context", "-"}};
  for (const std::vector<std::string>& arguments : by_stream) {
    const std::string before = read_text_file(in);
    EXPECT_NE(append_to(in, arguments, told, in), 0) << arguments.front();
    EXPECT_THAT(read_text_file(told), HasSubstr("is the file that standard output is written to")) << arguments.front();
    expect_untouched(in, before);
  }
  EXPECT_EQ(append_to(directory / "out", {"run", classics_engine(), "--batch", in, "--out", "-"}, told), 0);
  EXPECT_EQ(append_to(directory / "out", {"detokenize", classics_engine()}, told, tokens), 0);
}

TEST_F(Written, AnEngineIsNoFileOfRequests) {
  const std::string out = directory / "out";
  expect_refused(run_program({"run", classics_engine(), "--batch", engine, "--out", out}),
                 "is no file of requests: none of its");
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(Written, AnEngineReplacesAnEngineAlone) {
  const std::string model = classics, cache = directory / "cache";
  expect_refused(run_program({"build", model, "-o", mine}), "exists and is no engine");
  expect_refused(run_program({"build", model, "-o", cache, "--tuning-cache", cache}), "which this command reads");
  expect_refused(run_program({"build", engine, "-o", directory / "y.engine"}), "is an engine already");
  expect_refused(run_program({"build", model, "-o", directory / "y.engine", "--tuning-cache", directory / "no" / "c"}),
                 "there is no directory");
}

}  // namespace
}  // namespace incipit::cli
