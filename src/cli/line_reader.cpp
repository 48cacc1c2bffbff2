#include "cli/line_reader.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/progress.h"
#include "base/utf8.h"
#include "cli/options.h"

namespace incipit::cli {
namespace {

constexpr size_t longest_line = size_t{16} << 20;

// What the keys send.
constexpr char ctrl_d = 4, ctrl_h = 8, ctrl_u = 21, ctrl_w = 23, escape_key = 27, backspace = 127;

struct Range {
  uint32_t first, last;
};
/// Scripts whose characters take two columns, and marks that take none.
constexpr std::array<Range, 9> wide{{{0x1100, 0x115f},
                                     {0x2e80, 0xa4cf},
                                     {0xac00, 0xd7a3},
                                     {0xf900, 0xfaff},
                                     {0xfe30, 0xfe6f},
                                     {0xff00, 0xff60},
                                     {0xffe0, 0xffe6},
                                     {0x1f300, 0x1faff},
                                     {0x20000, 0x3fffd}}};
constexpr std::array<Range, 3> without_width{{{0x300, 0x36f}, {0x200b, 0x200f}, {0xfe00, 0xfe0f}}};

int columns_of(uint32_t c) {
  const auto in = [c](Range range) { return range.first <= c && c <= range.last; };
  if (std::ranges::any_of(without_width, in)) return 0;
  return std::ranges::any_of(wide, in) ? 2 : 1;
}

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0u) == 0x80u; }

}  // namespace

LineReader::Got LineReader::read(std::string& line) {
  line.clear();
  if (!is_terminal()) return read_bytes(line);
  terminal_.draw("> ");
  const Got got = read_bytes(line);
  terminal_.draw("\n");
  return got;
}

LineReader::Got LineReader::read_bytes(std::string& line) {
  while (true) {
    for (; next_ < kept_.size(); ++next_) {
      const char byte = kept_[next_];
      if (is_terminal() && byte == ctrl_d && line.empty()) return Got::end;
      if (is_terminal() ? type(byte, line) : byte == '\n') {
        ++next_;
        return Got::line;
      }
      if (!is_terminal()) line += byte;
      if (line.size() > longest_line) throw Error("standard input", "a line has more than 16 MiB", "say less at once");
    }
    if (interrupted()) return Got::interrupt;
    kept_.resize(size_t{1} << 14);
    next_ = 0;
    const ssize_t count = ::read(STDIN_FILENO, kept_.data(), kept_.size());
    kept_.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count == 0) return line.empty() ? Got::end : Got::line;
    if (count < 0 && errno != EINTR) throw Error("standard input", stream_fault("read"), "check where it comes from");
  }
}

bool LineReader::type(char byte, std::string& line) {
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
    case backspace: erase_character(line); return false;
    case ctrl_u:
      while (!line.empty()) erase_character(line);
      return false;
    case ctrl_w:
      while (line.ends_with(' ')) erase_character(line);
      while (!line.empty() && !line.ends_with(' ')) erase_character(line);
      return false;
    default: break;
  }
  if (static_cast<unsigned char>(byte) < 0x20 && byte != '\t') return false;
  line += byte;
  terminal_.draw(byte == '\t' ? " " : std::string_view(&byte, 1));
  return false;
}

void LineReader::erase_character(std::string& line) {
  if (line.empty()) return;
  size_t begin = line.size() - 1;
  while (begin > 0 && continues(line[begin])) --begin;
  for (int i = columns_of(code_point_before(line, line.size())); i > 0; --i) terminal_.draw("\b \b");
  line.resize(begin);
}

}  // namespace incipit::cli
