// Runs the command line in this process and keeps what it printed.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/cli.h"
#include "support/temporary_directory.h"

namespace incipit {

struct Ran {
  int status = 0;
  std::string out, err;
};

/// `input` is what standard input holds.
inline Ran run_program(std::vector<std::string> arguments, const std::string& input = {}) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "input", std::ios::binary) << input;
  const int kept = ::dup(STDIN_FILENO);
  const int file = ::open((directory / "input").c_str(), O_RDONLY | O_CLOEXEC);
  ::dup2(file, STDIN_FILENO);
  ::close(file);

  arguments.insert(arguments.begin(), "incipit");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Ran ran;
  ran.status = cli::main(static_cast<int>(argv.size()), argv.data());
  ran.out = testing::internal::GetCapturedStdout();
  ran.err = testing::internal::GetCapturedStderr();
  ::dup2(kept, STDIN_FILENO);
  ::close(kept);
  return ran;
}

/// Starts the command line in a child, whose descriptors are as `prepare` leaves them.
template <typename Prepare>
pid_t start_program(std::vector<std::string> arguments, Prepare&& prepare) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  prepare();
  arguments.insert(arguments.begin(), "incipit");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  ::_exit(cli::main(static_cast<int>(argv.size()), argv.data()));
}

/// Not to a child that was never started: that would be a signal to every process there is.
inline void send_signal(pid_t child, int signal) {
  if (child <= 0) throw std::logic_error("no program was started");
  ::kill(child, signal);
}

/// The child's exit status, or 1000 and the signal that ended it.
inline int wait_for_program(pid_t child) {
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

}  // namespace incipit
