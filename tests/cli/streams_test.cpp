// Standard streams that are closed, full or left by their readers: no file of the user's takes their place, and the
// program ends as a program should.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "base/file.h"
#include "engines.h"
#include "program.h"
#include "support/shared_files.h"

namespace incipit {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

void lead(int descriptor, const std::string& path, int flags) {
  const int opened = ::open(path.c_str(), flags | O_CREAT, 0666);
  ::dup2(opened, descriptor);
  ::close(opened);
}

std::string requests() {
  std::string lines;
  for (int i = 0; i < 3; ++i) {
    lines += R"({"custom_id": ")" + std::to_string(i) +
             R"(", "method": "POST", "url": "/v1/completions", "body": {"prompt": "Once", "max_tokens": 3}})" + "\n";
  }
  return lines;
}

TEST(Streams, AnErrorNeedsNobodyToTellItTo) {
  const std::vector<std::string> arguments{"run", "/no/such.engine", "x"};
  EXPECT_EQ(wait_for_program(start_program(arguments, [] { ::close(STDERR_FILENO); })), 1);
  EXPECT_EQ(wait_for_program(start_program(arguments, [] { lead(STDERR_FILENO, "/dev/full", O_WRONLY); })), 1);
  EXPECT_EQ(wait_for_program(start_program({"sing"}, [] { ::close(STDERR_FILENO); })), 2);
}

TEST(Streams, ABatchNeedsNoneOfThem) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "in") << requests();
  const std::string out = directory / "out";
  const std::vector<std::string> arguments{"run", classics_engine(), "--batch", directory / "in", "--out",
                                           out,   "--threads",       "1"};
  const auto expect_whole = [&] {
    const std::string text = read_text_file(out);
    EXPECT_EQ(std::ranges::count(text, '\n'), 3) << text;
    EXPECT_THAT(text, StartsWith(R"({"id":"batch_req_)"));
    EXPECT_EQ(text.find("answered"), std::string::npos) << "the summary is no answer";
    std::filesystem::remove(out);
  };
  EXPECT_EQ(wait_for_program(start_program(arguments,
                                           [] {
                                             for (const int stream : {0, 1, 2}) ::close(stream);
                                           })),
            0);
  expect_whole();
  EXPECT_EQ(wait_for_program(start_program(arguments, [] { lead(STDERR_FILENO, "/dev/full", O_WRONLY); })), 0);
  expect_whole();
}

TEST(Streams, AClosedInputIsNotTheFileOpenedNext) {
  const TemporaryDirectory directory;
  const std::string told = directory / "err";
  const int status = wait_for_program(start_program({"run", classics_engine(), "--max-tokens", "2"}, [&] {
    ::close(STDIN_FILENO);
    lead(STDERR_FILENO, told, O_WRONLY);
  }));
  EXPECT_EQ(status, 1);
  EXPECT_EQ(read_text_file(told), "incipit: standard input: is closed; check where it comes from\n");
}

TEST(Streams, AnOutputThatTakesNothingIsAnError) {
  const TemporaryDirectory directory;
  const std::string told = directory / "err", context = directory / "context.json";
  std::ofstream(context) << "{}";
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"--help"},
                                                    {"--version"},
                                                    {"run", "--help"},
                                                    {"inspect", classics_engine()},
                                                    {"run", classics_engine(), "Once", "--max-tokens", "2"}}) {
    for (const bool closed : {false, true}) {
      std::filesystem::remove(told);
      const int status = wait_for_program(start_program(arguments, [&] {
        lead(STDERR_FILENO, told, O_WRONLY);
        closed ? static_cast<void>(::close(STDOUT_FILENO)) : lead(STDOUT_FILENO, "/dev/full", O_WRONLY);
      }));
      EXPECT_EQ(status, 1) << arguments.front();
      const std::string text = read_text_file(told);
      EXPECT_THAT(text,
                  StartsWith(closed ? "incipit: standard output: is closed" : "incipit: standard output: cannot"));
      EXPECT_EQ(std::ranges::count(text, '\n'), 1) << text;
    }
  }
}

TEST(Streams, ABuildSaysThatItsEngineIsThere) {
  const TemporaryDirectory directory;
  const std::string told = directory / "err", target = directory / "x.engine";
  const int status = wait_for_program(
      start_program({"build", classics, "-o", target, "--precision", "f32", "--no-tune", "--max-context", "64"}, [&] {
        lead(STDERR_FILENO, told, O_WRONLY);
        ::close(STDOUT_FILENO);
      }));
  EXPECT_EQ(status, 1);
  EXPECT_THAT(read_text_file(told), HasSubstr("incipit: standard output: is closed; but " + target + " is complete"));
  EXPECT_FALSE(trailer_record(target, "baseline").empty());
}

TEST(Streams, AReaderThatHasGoneEndsTheProgramInSilence) {
  const TemporaryDirectory directory;
  const std::string told = directory / "err";
  const int status = wait_for_program(start_program({"run", classics_engine(), "Once", "--max-tokens", "4"}, [&] {
    lead(STDERR_FILENO, told, O_WRONLY);
    int ends[2];
    if (::pipe(ends) != 0) ::_exit(99);
    ::close(ends[0]);
    ::dup2(ends[1], STDOUT_FILENO);
  }));
  EXPECT_EQ(status, 141);
  EXPECT_EQ(read_text_file(told), "");
}

TEST(Streams, ASignalIsInTheStatus) {
  for (const int signal : {SIGTERM, SIGINT}) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = start_program({"run", classics_engine(), "Once", "--greedy", "--max-tokens", "0"}, [&] {
      lead(STDERR_FILENO, "/dev/null", O_WRONLY);
      ::dup2(ends[1], STDOUT_FILENO);
      ::close(ends[0]);
      ::close(ends[1]);
    });
    ::close(ends[1]);
    char first = 0;
    EXPECT_EQ(::read(ends[0], &first, 1), 1) << "the first token comes at once";
    send_signal(child, signal);
    EXPECT_EQ(wait_for_program(child), 128 + signal);
    ::close(ends[0]);
  }
}

TEST(Streams, ADashIsOneOfThem) {
  const TemporaryDirectory directory;
  const auto of = [](const std::string& prompt, const std::string& input) {
    return run_program({"run", classics_engine(), prompt, "--greedy", "--max-tokens", "4"}, input).out;
  };
  EXPECT_EQ(of("-", "Call me Ishmael."), of("Call me Ishmael.", ""));
  const Ran batch = run_program({"run", classics_engine(), "--batch", "-", "--out", "-"}, requests());
  EXPECT_EQ(batch.status, 0) << batch.err;
  EXPECT_EQ(std::ranges::count(batch.out, '\n'), 3) << batch.out;
  EXPECT_THAT(batch.err, HasSubstr("standard output: 3 answered"));
  const Ran rendered = run_program({"render", classics, "--context", "-"},
                                   R"({"messages": [{"role": "user", "content": "Hello"}], "bos_token": "<|begin|>"})");
  EXPECT_THAT(rendered.out, StartsWith("<|begin|><|user|>\nHello"));
  std::string text;
  for (int i = 0; i < 40; ++i) text += "The sea was calm, and the ship lay still. ";
  EXPECT_THAT(run_program({"eval", classics_engine(), "--text", "-", "--window", "64"}, text).out,
              StartsWith("perplexity "));
  const Ran built = run_program({"build", classics, "-o", "-"});
  EXPECT_EQ(built.status, 1);
  EXPECT_THAT(built.err, HasSubstr("standard output"));
}

std::string make_pipe(const TemporaryDirectory& directory, const std::string& name) {
  const std::string path = directory / name;
  EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
  return path;
}

/// As a shell's <(…) does.
TEST(Streams, APipeGivesATextAndRequests) {
  const TemporaryDirectory directory;
  const std::string pipe = make_pipe(directory, "pipe");
  const auto run_with = [&](const std::vector<std::string>& arguments, const std::string& content) {
    std::thread writer([&] { std::ofstream(pipe) << content; });
    const Ran ran = run_program(arguments);
    writer.join();
    EXPECT_EQ(ran.status, 0) << ran.err;
    return ran.out;
  };
  const std::string answers = run_with({"run", classics_engine(), "--batch", pipe, "--out", "-"}, requests());
  EXPECT_EQ(std::ranges::count(answers, '\n'), 3) << answers;
  EXPECT_THAT(run_with({"render", classics, "--context", pipe}, R"({"messages": [{"role": "user", "content": "Hi"}]})"),
              StartsWith("<|user|>\nHi"));
  std::string text;
  for (int i = 0; i < 40; ++i) text += "The sea was calm, and the ship lay still. ";
  EXPECT_THAT(run_with({"eval", classics_engine(), "--text", pipe, "--window", "64"}, text), StartsWith("perplexity "));
}

TEST(Streams, APipeWithoutAWriterIsWaitedForUntilASignal) {
  const TemporaryDirectory directory;
  const std::string pipe = make_pipe(directory, "pipe");
  const pid_t child = start_program({"eval", classics_engine(), "--text", pipe}, [&] {
    lead(STDERR_FILENO, "/dev/null", O_WRONLY);
    ::alarm(60);
  });
  // Once it waits, a writer that does not wait itself finds it there.
  int writer = -1;
  while ((writer = ::open(pipe.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0 && errno == ENXIO) ::usleep(1000);
  ASSERT_GE(writer, 0);
  send_signal(child, SIGTERM);
  EXPECT_EQ(wait_for_program(child), 128 + SIGTERM);
  ::close(writer);
}

TEST(Streams, APipeInTheFilesPlaceIsRefused) {
  const TemporaryDirectory directory;
  const std::filesystem::path model = directory / "model";
  const std::string pipe = make_pipe(directory, "pipe"), gguf = make_pipe(directory, "model.gguf");
  const auto expect_refused = [&](const std::vector<std::string>& arguments, const std::string& named) {
    const Ran ran = run_program(arguments);
    EXPECT_EQ(ran.status, 1) << arguments.front();
    EXPECT_THAT(ran.err, HasSubstr(named));
    EXPECT_THAT(ran.err, testing::AnyOf(HasSubstr("regular file"), HasSubstr("is no directory"))) << arguments.front();
    EXPECT_EQ(std::ranges::count(ran.err, '\n'), 1) << ran.err;
  };
  const std::string target = directory / "x.engine";
  for (const char* name : {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
                           "chat_template.jinja", "model.safetensors"}) {
    std::filesystem::remove_all(model);
    std::filesystem::copy(classics, model);
    std::filesystem::remove(model / name);
    ASSERT_EQ(::mkfifo((model / name).c_str(), 0600), 0);
    expect_refused({"build", model, "-o", target, "--precision", "f32", "--no-tune", "--no-baseline", "--no-golden"},
                   name);
  }
  std::filesystem::remove_all(model);
  std::filesystem::create_directory(model);
  make_pipe(directory, "model/model.gguf");
  EXPECT_EQ(run_program({"build", model, "-o", target}).status, 1) << "and nobody waits for a writer";
  for (const std::string& named : {pipe, gguf}) {
    expect_refused({"build", named, "-o", target}, named);
    expect_refused({"run", named, "Once"}, named);
    expect_refused({"render", named, "--context", "-"}, named);
    expect_refused({"verify", classics_engine(), "--golden", named}, named);
    expect_refused({"tokenize", named}, named);
  }
  expect_refused({"build", classics, "-o", target, "--precision", "f32", "--tuning-cache", pipe}, pipe);
  expect_refused({"build", classics, "-o", pipe, "--precision", "f32", "--no-tune"}, pipe);
}

}  // namespace
}  // namespace incipit
