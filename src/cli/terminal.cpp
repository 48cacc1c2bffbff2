#include "cli/terminal.h"

#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/progress.h"

namespace incipit::cli {
namespace {

// What signal handlers work with; written before they are installed.
termios before, keys;
bool taken = false;

/// A process in the background would be stopped by setting the terminal, which another one has by then.
void set_terminal(const termios& mode) {
  if (::tcgetpgrp(STDIN_FILENO) == ::getpgrp()) ::tcsetattr(STDIN_FILENO, TCSANOW, &mode);
}

void give_terminal_back() { set_terminal(before); }

extern "C" void stop_without_terminal(int) {
  const int kept = errno;
  give_terminal_back();
  ::raise(SIGSTOP);
  errno = kept;
}

extern "C" void take_terminal_again(int) {
  const int kept = errno;
  set_terminal(keys);
  errno = kept;
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;  // what is being read or written goes on
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

KeyTerminal::KeyTerminal() {
  if (::tcgetattr(STDIN_FILENO, &before) != 0) return;
  for (const int stream : {STDERR_FILENO, STDOUT_FILENO}) {
    if (::isatty(stream) != 0) screen_ = stream;
  }
  keys = before;
  keys.c_lflag &= ~static_cast<tcflag_t>(ICANON);
  if (screen_ >= 0) keys.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  keys.c_cc[VMIN] = 1;
  keys.c_cc[VTIME] = 0;
  keys.c_cc[VQUIT] = _POSIX_VDISABLE;  // its core dump would leave the terminal without echo
  taken = true;
  set_last_act(give_terminal_back);
  handle(SIGTSTP, stop_without_terminal);
  handle(SIGCONT, take_terminal_again);
  set_terminal(keys);
}

KeyTerminal::~KeyTerminal() {
  if (!held()) return;
  give_terminal_back();
  taken = false;
  handle(SIGTSTP, SIG_DFL);
  handle(SIGCONT, SIG_DFL);
  set_last_act(nullptr);
}

bool KeyTerminal::held() const { return taken; }

TerminalSize KeyTerminal::size() const {
  return screen_ >= 0 && takes_escapes(screen_) ? terminal_size(screen_) : TerminalSize{};
}

void KeyTerminal::draw(std::string_view text) const {
  while (screen_ >= 0 && !text.empty()) {
    const ssize_t count = ::write(screen_, text.data(), text.size());
    if (count < 0 && errno != EINTR) return;
    if (count > 0) text.remove_prefix(static_cast<size_t>(count));
  }
}

}  // namespace incipit::cli
