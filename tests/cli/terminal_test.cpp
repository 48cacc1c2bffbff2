// A conversation on a terminal: lines of any length, and a terminal that is afterwards as it was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <chrono>
#include <string>
#include <thread>

#include "engines.h"
#include "program.h"
#include "support/shared_files.h"

namespace incipit {
namespace {

using testing::HasSubstr;
using testing::Not;

/// `incipit run --chat` with the bundled model on a terminal of its own; the test has the terminal's other end.
class OnTerminal : public testing::Test {
 protected:
  void SetUp() override {
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    const char* name = master < 0 ? nullptr : ::ptsname(master);
    const bool there = name != nullptr && ::access(name, F_OK) == 0;
    if (master >= 0) ::close(master);
    if (!there) GTEST_SKIP() << "there are no terminals here: /dev/pts is not mounted";
  }

  void start(const std::vector<std::string>& more, winsize size = {}) {
    std::vector<std::string> arguments{"run", short_engine(), "--chat", "--greedy"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    master_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASSERT_GE(master_, 0);
    ASSERT_EQ(::grantpt(master_), 0);
    ASSERT_EQ(::unlockpt(master_), 0);
    const std::string name = ::ptsname(master_);
    slave_ = ::open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);  // keeps the terminal when the program has ended
    ASSERT_GE(slave_, 0);
    ASSERT_EQ(::tcgetattr(slave_, &before_), 0);
    ASSERT_EQ(::ioctl(slave_, TIOCSWINSZ, &size), 0);
    child_ = start_program(arguments, [&] {
      ::setsid();
      const int terminal = ::open(name.c_str(), O_RDWR);
      ::ioctl(terminal, TIOCSCTTY, 0);
      for (const int stream : {0, 1, 2}) ::dup2(terminal, stream);
      if (size.ws_col > 0) ::setenv("TERM", "xterm", 1);
    });
    read_until("> ");
  }

  void type(const std::string& text) {
    for (size_t sent = 0; sent < text.size();) {
      const ssize_t count = ::write(master_, text.data() + sent, text.size() - sent);
      ASSERT_GT(count, 0);
      sent += static_cast<size_t>(count);
      shown_ += take(0);
    }
  }

  /// What the terminal shows up to and with `end`, from where the last call stopped.
  std::string read_until(const std::string& end) {
    const auto start = std::chrono::steady_clock::now();
    while (shown_.find(end) == std::string::npos &&
           std::chrono::steady_clock::now() - start < std::chrono::minutes(2)) {
      shown_ += take(100);
    }
    const size_t at = shown_.find(end);
    EXPECT_NE(at, std::string::npos) << "'" << end << "' never comes: " << shown_;
    if (at == std::string::npos) return std::exchange(shown_, {});
    std::string found = shown_.substr(0, at + end.size());
    shown_.erase(0, found.size());
    return found;
  }

  void expect_terminal_as_before() {
    termios now{};
    ASSERT_EQ(::tcgetattr(slave_, &now), 0);
    EXPECT_EQ(now.c_lflag, before_.c_lflag);
    EXPECT_EQ(now.c_cc[VQUIT], before_.c_cc[VQUIT]);
  }

  ~OnTerminal() override {
    ::close(slave_);
    ::close(master_);
  }

  pid_t child_ = -1;

 private:
  std::string take(int milliseconds) {
    pollfd ready{master_, POLLIN, 0};
    char buffer[4096];
    if (::poll(&ready, 1, milliseconds) != 1) return {};
    const ssize_t count = ::read(master_, buffer, sizeof buffer);
    return count > 0 ? std::string(buffer, static_cast<size_t>(count)) : std::string();
  }

  int master_ = -1, slave_ = -1;
  termios before_{};
  std::string shown_;
};

TEST_F(OnTerminal, TakesLinesLongerThanTheSystemsOwn) {
  std::string line;
  for (int i = 0; i < 2500; ++i) line += "sea ";
  const Ran piped = run_program({"run", short_engine(), "--chat"}, line + "\n");
  start({"--max-tokens", "4"});
  type(line + "\n");
  const std::string told = piped.err.substr(0, piped.err.find(','));  // this message makes 2512 tokens
  EXPECT_THAT(told, HasSubstr("this message makes 25"));
  read_until(told);
  type("\x04");
  EXPECT_EQ(wait_for_program(child_), 0);
  expect_terminal_as_before();
}

TEST_F(OnTerminal, EditsALine) {
  // Backspace takes a whole character, arrows are nothing, Ctrl-W takes a word and Ctrl-U all of it.
  const Ran piped =
      run_program({"run", short_engine(), "--chat", "--greedy", "--max-tokens", "6"}, "The old house stood.\n");
  start({"--max-tokens", "6"});
  type("nonsense\x15The old \xc3\xa9\x7fhouze\x1b[D \x7f\x7f\x7fse tree\x17stood.\n");
  const std::string answer = piped.out.substr(0, piped.out.find('\n'));
  read_until("stood.");
  EXPECT_THAT(read_until("TTFT"), HasSubstr(answer));
  read_until("> ");
  type("\x04");
  EXPECT_EQ(wait_for_program(child_), 0);
}

TEST_F(OnTerminal, EditsALineOfSeveralRows) {
  const Ran piped =
      run_program({"run", short_engine(), "--chat", "--greedy", "--max-tokens", "6"}, "The old house stood.\n");
  start({"--max-tokens", "6"}, {5, 12, 0, 0});
  type("The old house stooped low to the ground" + std::string(21, '\x7f'));
  EXPECT_THAT(read_until("\x1b[1A"), HasSubstr("The old ho \ruse")) << "the cursor goes up a row";
  type("d.\n");
  const std::string answer = piped.out.substr(0, piped.out.find('\n'));
  EXPECT_THAT(read_until("TTFT"), HasSubstr(answer));
  read_until("> ");
  type("\x04");
  EXPECT_EQ(wait_for_program(child_), 0);
}

TEST_F(OnTerminal, CtrlCLeavesTheLineAndGoesOn) {
  start({"--max-tokens", "2"});
  type("Never mi");
  read_until("Never mi");
  type("\x03");
  read_until("> ");
  type("The sea.\n");
  read_until("TTFT");
  type("\x04");
  EXPECT_EQ(wait_for_program(child_), 0);
  expect_terminal_as_before();
}

TEST_F(OnTerminal, SignalsLeaveTheTerminalAsItWas) {
  start({});
  send_signal(child_, SIGTERM);
  EXPECT_EQ(wait_for_program(child_), 143);
  expect_terminal_as_before();
}

TEST_F(OnTerminal, ASecondSignalToo) {
  start({"--max-tokens", "0"});
  type("Tell me of the sea.\n");
  read_until("sea.\r\n");
  send_signal(child_, SIGTERM);
  std::this_thread::sleep_for(std::chrono::milliseconds(110));  // at once they would be one
  send_signal(child_, SIGTERM);
  const int status = wait_for_program(child_);
  EXPECT_TRUE(status == 143 || status == 1000 + SIGTERM) << status;
  expect_terminal_as_before();
}

TEST_F(OnTerminal, AStoppedProgramHoldsNoTerminal) {
  start({"--max-tokens", "2"});
  send_signal(child_, SIGTSTP);
  int status = 0;
  ASSERT_EQ(::waitpid(child_, &status, WUNTRACED), child_);
  ASSERT_TRUE(WIFSTOPPED(status));
  expect_terminal_as_before();
  send_signal(child_, SIGCONT);
  type("The sea.\n");
  read_until("TTFT");
  type("\x04");
  EXPECT_EQ(wait_for_program(child_), 0);
}

}  // namespace
}  // namespace incipit
