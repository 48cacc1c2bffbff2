#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <ctime>

#include "base/error.h"
#include "base/terminal.h"

namespace incipit {
namespace {

constexpr double redraw_interval = 0.1;  // seconds
constexpr double line_after = 1, line_interval = 10;
constexpr int bar_width = 24;
constexpr std::string_view erase_line = "\r\033[K";

size_t terminal_columns() {
  const int columns = terminal_size(STDERR_FILENO).columns;
  return columns == 0 ? 80 : static_cast<size_t>(columns);
}

std::string amount(double value, std::string_view unit) {
  if (unit == "B") {
    constexpr std::array<std::string_view, 5> names{"B", "KiB", "MiB", "GiB", "TiB"};
    size_t power = 0;
    while (value >= 1024 && power + 1 < names.size()) {
      value /= 1024;
      ++power;
    }
    return fmt::format("{:.{}f} {}", value, power == 0 ? 0 : 1, names[power]);
  }
  const int decimals = value < 10 && value != static_cast<double>(static_cast<int64_t>(value)) ? 1 : 0;
  return fmt::format("{:.{}f}{}{}", value, decimals, unit.empty() ? "" : " ", unit);
}

std::string duration(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02} h", whole / 3600, whole / 60 % 60, whole % 60);
}

// Cut to `limit` bytes without leaving half of a UTF-8 character.
void cut(std::string& text, size_t limit) {
  if (text.size() <= limit) return;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0u) == 0x80u) --limit;
  text.resize(limit);
}

void write_to_terminal(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

double Progress::steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Progress::Progress(bool visible, Clock clock) : visible_(visible), clock_(clock) {}

// A stage still open here was left by an exception: clear its line for the message that follows.
Progress::~Progress() {
  if (visible_ && !lines_ && !name_.empty()) write_to_terminal(erase_line);
}

bool Progress::for_terminal() { return takes_escapes(STDERR_FILENO); }

Progress Progress::for_long_work(bool terminal, Clock clock) {
  Progress progress(true, clock);
  progress.lines_ = !terminal;
  return progress;
}

void Progress::stage(std::string_view name, int64_t total, std::string_view unit) {
  finish();
  name_ = name;
  unit_ = unit;
  total_ = total;
  done_ = 0;
  started_ = clock_();
  drawn_ = started_ + line_after - line_interval;
  if (!lines_) draw(false);
}

void Progress::advance(int64_t units) {
  done_ += units;
  if (visible_ && !name_.empty() && clock_() - drawn_ >= (lines_ ? line_interval : redraw_interval)) draw(false);
}

void Progress::finish() {
  if (name_.empty()) return;
  if (!lines_ || clock_() - started_ >= line_after) draw(true);
  name_.clear();
}

void Progress::draw(bool last) {
  if (!visible_) return;
  drawn_ = clock_();
  const double elapsed = std::max(drawn_ - started_, 1e-9);
  const double speed = static_cast<double>(done_) / elapsed;
  std::string line = name_ + "  ";
  if (last) {
    if (done_ > 0) line += amount(static_cast<double>(done_), unit_) + "  ";
    line += duration(elapsed);
    // Speed over a few milliseconds is noise.
    if (done_ > 0 && elapsed >= 0.5) line += "  " + amount(speed, unit_) + "/s";
  } else if (total_ > 0) {
    const double share = std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0);
    const int filled = static_cast<int>(share * bar_width);
    line += fmt::format("[{:<{}}] {:3.0f}%", std::string(static_cast<size_t>(filled), '#'), bar_width,
                        std::floor(100 * share));
    if (done_ > 0) {
      line += "  " + amount(speed, unit_) + "/s";
      line += "  " + duration(static_cast<double>(std::max<int64_t>(total_ - done_, 0)) / speed) + " left";
    }
  } else {
    constexpr std::string_view spinner = "|/-\\";
    line += spinner[static_cast<size_t>(elapsed / redraw_interval) % spinner.size()];
    if (done_ > 0) {
      line += "  " + amount(static_cast<double>(done_), unit_) + "  " + amount(speed, unit_) + "/s";
    }
    line += "  " + duration(elapsed);
  }
  if (lines_) {
    write_to_terminal(line + "\n");
    return;
  }
  cut(line, terminal_columns() - 1);  // a wrapped line could not be erased
  write_to_terminal(std::string(erase_line) + line + (last ? "\n" : ""));
}

namespace {

std::atomic<bool> interrupt_flag{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

std::atomic<int> interrupt_signal{0};
std::atomic<void (*)()> last_act{nullptr};
std::atomic<bool> told_on_terminal{false};

std::atomic<bool> hangup_flag{false};

extern "C" void note_hangup(int) { hangup_flag.store(true); }

std::atomic<int64_t> interrupted_at{0};  // in ms of a clock that a handler may read

int64_t milliseconds_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

extern "C" void note_interrupt(int signal) {
  // timeout(1) and npm send one to the program and one to its group, which mean the same.
  constexpr int64_t same_ms = 100;
  if (!interrupt_flag.load()) {
    interrupt_signal.store(signal);
    interrupted_at.store(milliseconds_now());
    interrupt_flag.store(true);
    return;
  }
  if (signal == interrupt_signal.load() && milliseconds_now() - interrupted_at.load() < same_ms) return;
  if (void (*const act)() = last_act.load()) act();
  std::string_view line = "\nincipit: ended at once by a second signal; what was not finished is lost\n";
  if (!told_on_terminal.load()) line.remove_prefix(1);  // nothing stands on the line
  [[maybe_unused]] const ssize_t told = ::write(STDERR_FILENO, line.data(), line.size());
  std::signal(signal, SIG_DFL);
  std::raise(signal);  // delivered when this handler returns
}

}  // namespace

bool interrupted() { return interrupt_flag.load(std::memory_order_relaxed); }

int interrupting_signal() { return interrupted() ? interrupt_signal.load() : 0; }

void set_last_act(void (*act)()) { last_act.store(act); }

void install_interrupt_handler() {
  told_on_terminal.store(::isatty(STDERR_FILENO) == 1);
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  sigemptyset(&action.sa_mask);
  action.sa_flags = 0;  // no SA_RESTART: a read that waits for the user returns
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  struct sigaction hangup {};
  ::sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) ::sigaction(SIGHUP, &action, nullptr);  // nohup has it ignored
}

void keep_hangups() {
  struct sigaction action {};
  action.sa_handler = note_hangup;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGHUP, &action, nullptr);
}

bool take_hangup() { return hangup_flag.exchange(false); }

bool take_ctrl_c() {
  if (interrupting_signal() != SIGINT) return false;
  interrupt_flag.store(false, std::memory_order_relaxed);
  return true;
}

void check_interrupt() {
  if (interrupted()) throw Error("", "interrupted");
}

}  // namespace incipit
