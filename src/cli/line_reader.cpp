#include "cli/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/progress.h"
#include "cli/options.h"

namespace incipit::cli {
namespace {

constexpr size_t longest_line = size_t{16} << 20;

// What the keys send.
constexpr char ctrl_d = 4, ctrl_h = 8, ctrl_u = 21, ctrl_w = 23, escape_key = 27, backspace = 127;

void check_length(const std::string& line) {
  if (line.size() > longest_line) throw Error("standard input", "a line has more than 16 MiB", "say less at once");
}

}  // namespace

LineReader::Got LineReader::read(std::string& line) {
  line.clear();
  if (!is_terminal()) return read_bytes(line);
  typed_.begin(terminal_.size());
  const Got got = read_keys();
  terminal_.draw("\n");
  if (got == Got::line) line = typed_.text();
  return got;
}

LineReader::Got LineReader::read_bytes(std::string& line) {
  while (true) {
    for (; next_ < kept_.size(); ++next_) {
      if (kept_[next_] == '\n') {
        ++next_;
        return Got::line;
      }
      line += kept_[next_];
      check_length(line);
    }
    if (interrupted()) return Got::interrupt;
    if (!refill()) return line.empty() ? Got::end : Got::line;
  }
}

LineReader::Got LineReader::read_keys() {
  while (true) {
    while (next_ < kept_.size()) {
      const char byte = kept_[next_++];
      if (byte == ctrl_d && typed_.text().empty()) return Got::end;
      if (type(byte)) return Got::line;
      check_length(typed_.text());
    }
    if (interrupted()) return Got::interrupt;
    if (!refill()) return typed_.text().empty() ? Got::end : Got::line;
    typed_.resize(terminal_.size());
  }
}

bool LineReader::refill() {
  // A signal may come behind the caller's look at interrupted(), or interrupt another thread: no wait is a long one.
  constexpr int longest_ms = 200;
  kept_.clear();
  next_ = 0;
  pollfd input{STDIN_FILENO, POLLIN, 0};
  if (::poll(&input, 1, longest_ms) <= 0) return true;
  kept_.resize(size_t{1} << 14);
  const ssize_t count = ::read(STDIN_FILENO, kept_.data(), kept_.size());
  kept_.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
  if (count < 0 && errno != EINTR) throw Error("standard input", stream_fault("read"), "check where it comes from");
  return count != 0;
}

bool LineReader::type(char byte) {
  switch (std::exchange(escape_, Escape::none)) {
    case Escape::none: break;
    case Escape::begun:
      if (byte == '[') escape_ = Escape::sequence;
      if (byte == 'O') escape_ = Escape::one_more;
      if (escape_ != Escape::none) return false;
      break;
    case Escape::sequence:  // parameters, then a letter or ~: an arrow or a function key
      if (byte < '@') escape_ = Escape::sequence;
      return false;
    case Escape::one_more: return false;
  }
  switch (byte) {
    case '\r':
    case '\n': return true;
    case escape_key: escape_ = Escape::begun; return false;
    case ctrl_h:
    case backspace: typed_.erase_character(); return false;
    case ctrl_u: typed_.erase_all(); return false;
    case ctrl_w: typed_.erase_word(); return false;
    default: break;
  }
  if (static_cast<unsigned char>(byte) >= 0x20 || byte == '\t') typed_.type(byte);
  return false;
}

}  // namespace incipit::cli
