// Engines whose weights have changed, whose place another has taken, and disks that take no more: told in a line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>

#include "base/file.h"
#include "engine/engine.h"
#include "engines.h"
#include "program.h"
#include "support/shared_files.h"

namespace incipit {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

void build(const std::filesystem::path& model, const std::string& target, const std::string& precision) {
  const Ran ran = run_program(
      {"build", model, "-o", target, "--precision", precision, "--no-tune", "--no-baseline", "--max-batch", "2"});
  EXPECT_EQ(ran.status, 0) << ran.err;
}

std::string sound() {
  static const std::string path = [] {
    build(classics, place() / "sound.engine", "bf16");
    return place() / "sound.engine";
  }();
  return path;
}

/// Writes over some of an engine's weights.
void alter(const std::string& engine, uint64_t offset, std::string_view bytes) {
  std::fstream file(engine, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(engine_page + offset));
  file << bytes;
}

/// The first page of the weights is zeros, as a disk leaves what it has lost.
std::string damaged() {
  static const std::string path = [] {
    const std::string target = place() / "damaged.engine";
    std::filesystem::copy_file(sound(), target);
    alter(target, 0, std::string(4096, '\0'));
    return target;
  }();
  return path;
}

/// One line that tells what is wrong; a long build has told before what it was at.
void expect_told(const Ran& ran, const std::string& part) {
  EXPECT_EQ(ran.status, 1) << ran.out << ran.err;
  const std::string lines = "\n" + ran.err;
  const size_t told = lines.find("\nincipit: ");
  ASSERT_NE(told, std::string::npos) << ran.err;
  EXPECT_THAT(lines.substr(told), HasSubstr(part));
  EXPECT_EQ(std::ranges::count(lines.substr(told + 1), '\n'), 1) << ran.err;
}

constexpr const char* altered = "damaged.engine: its weights were altered, at bytes ";

TEST(DamagedWeights, EndARunBehindItsFirstTokens) {
  const Ran run = run_program({"run", damaged(), "Call me Ishmael.", "--greedy", "--max-tokens", "40"});
  expect_told(run, altered);
  EXPECT_THAT(run.out, testing::EndsWith("\n")) << "the message has a line of its own";
  EXPECT_GT(run.out.size(), 1U) << "the first token does not wait for the check";
  expect_told(run_program({"run", damaged(), "Call me Ishmael.", "--greedy", "--max-tokens", "1"}), altered);
  const Ran chat = run_program({"run", damaged(), "--chat", "--max-tokens", "4", "--greedy"}, "Hello\n");
  EXPECT_EQ(chat.status, 1);
  EXPECT_THAT(chat.err, HasSubstr(altered));
}

TEST(DamagedWeights, AreBlamedForLogitsThatAreNoNumbers) {
  const TemporaryDirectory directory;
  const std::string engine = directory / "damaged.engine";
  std::filesystem::copy_file(sound(), engine);
  alter(engine, 0, std::string(4096, '\xff'));  // NaNs
  const Ran run = run_program({"run", engine, "Call me Ishmael.", "--greedy", "--max-tokens", "4"});
  expect_told(run, altered);
  EXPECT_EQ(run.out, "\n") << "no token was drawn";
}

TEST(DamagedWeights, GiveNoResultThatIsKept) {
  const TemporaryDirectory directory;
  const auto expect_nothing = [](const std::vector<std::string>& arguments) {
    const Ran ran = run_program(arguments);
    expect_told(ran, altered);
    EXPECT_EQ(ran.out, "");
  };
  expect_nothing({"run", damaged(), "Call me", "--check"});
  expect_nothing({"run", damaged(), "Call me", "--json", "--max-tokens", "3"});
  expect_nothing({"eval", damaged(), "--text", fixtures() / "text" / "eval.txt", "--max-tokens", "1024"});
  expect_nothing({"bench", damaged(), "--prompt", "16", "--decode", "0", "--repeat", "1"});
  expect_nothing({"inspect", damaged(), "--check"});
  expect_nothing({"verify", damaged(), "--golden", fixtures() / "classics-16m-golden" / "golden.json"});
  std::ofstream(directory / "in") << R"({"custom_id":"a","method":"POST","url":"/v1/completions",)"
                                  << R"("body":{"prompt":"Once","max_tokens":3}})"
                                  << "\n";
  expect_nothing({"run", damaged(), "--batch", directory / "in", "--out", directory / "out"});
  EXPECT_FALSE(std::filesystem::exists(directory / "out")) << "a sound engine would take its answers for done";
  EXPECT_EQ(run_program({"run", sound(), "Call me", "--check", "--max-tokens", "2"}).status, 0);
}

TEST(DamagedWeights, GiveNoTensors) {
  const TemporaryDirectory directory;
  const std::string engine = directory / "damaged.engine";
  build(fixtures() / "encoder" / "encoder.onnx", engine, "f32");
  alter(engine, Engine::open(engine)->weights().size() / 2, "altered");
  const Ran ran = run_program({"run-graph", engine, "--inputs", fixtures() / "encoder" / "inputs.safetensors",
                               "--outputs", directory / "made.safetensors"});
  expect_told(ran, altered);
  EXPECT_FALSE(std::filesystem::exists(directory / "made.safetensors"));
}

TEST(DamagedWeights, AFileThatBecomesShorterEndsTheProgramInALine) {
  const TemporaryDirectory directory;
  const std::string engine = directory / "x.engine", told = directory / "told";
  std::filesystem::copy_file(sound(), engine);
  int output[2];
  ASSERT_EQ(::pipe(output), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(output[1], STDOUT_FILENO);
    ::dup2(::open(told.c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
    std::vector<std::string> arguments{"incipit", "run", engine, "Once", "--greedy", "--max-tokens", "0"};
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    ::_exit(cli::main(static_cast<int>(argv.size()), argv.data()));
  }
  ::close(output[1]);
  char first = 0;
  ASSERT_EQ(::read(output[0], &first, 1), 1);
  std::filesystem::resize_file(engine, engine_page);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ::close(output[0]);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_THAT(read_text_file(told),
              AllOf(StartsWith("incipit: a file in use became shorter"), testing::EndsWith("\n")));
}

/// While it lives no file grows beyond that size: a full disk.
class FullDisk {
 public:
  explicit FullDisk(uint64_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit tight{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &tight);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

TEST(FullDisk, BenchPrintsWhatItCannotKeep) {
  const TemporaryDirectory directory;
  const std::string engine = directory / "x.engine";
  build(tiny_model, engine, "f32");
  const std::string before = read_text_file(engine);
  Ran ran;
  {
    const FullDisk full(before.size());
    ran = run_program({"bench", engine, "--prompt", "16", "--decode", "0", "--repeat", "1", "--threads", "1"});
  }
  expect_told(ran, "what was measured is not kept in the engine");
  EXPECT_THAT(ran.out, AllOf(HasSubstr("ceilings"), HasSubstr("ttft 16")));
  EXPECT_EQ(read_text_file(engine), before);
}

TEST(FullDisk, ABuildLeavesTheOldEngine) {
  const TemporaryDirectory directory;
  const std::string engine = directory / "x.engine";
  build(tiny_model, engine, "f32");
  const std::string before = read_text_file(engine);
  Ran ran;
  {
    const FullDisk full(before.size() / 2);
    ran = run_program({"--log-level", "error", "build", tiny_model, "-o", engine, "--precision", "f32", "--no-tune"});
  }
  expect_told(ran, "x.engine: cannot write: ");
  EXPECT_EQ(read_text_file(engine), before);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);
}

TEST(FullDisk, ABuildTellsWhatItMeasuredAndCannotKeep) {
  const TemporaryDirectory directory;
  const std::string engine = directory / "x.engine";
  build(tiny_model, engine, "f32");
  const std::string body = read_text_file(engine);
  Ran ran;
  {
    const FullDisk full(body.size());
    ran = run_program({"--log-level", "error", "build", tiny_model, "-o", engine, "--precision", "f32", "--no-tune",
                       "--max-batch", "2"});
  }
  expect_told(ran, "what was measured is not kept in the engine");
  EXPECT_THAT(ran.out, HasSubstr("first token of "));
  EXPECT_EQ(read_text_file(engine), body) << "the engine is whole";
}

}  // namespace
}  // namespace incipit
