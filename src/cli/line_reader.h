// Standard input line by line: from a file or a pipe as it is, from a terminal as it is typed.
#pragma once

#include <cstdint>
#include <string>

#include "cli/terminal.h"
#include "cli/typed_line.h"

namespace incipit::cli {

class LineReader {
 public:
  enum class Got : uint8_t { line, end, interrupt };

  /// A line without its end. On a terminal, "> " is drawn before it, lines may have any length, and Backspace, Ctrl-U
  /// and Ctrl-W erase a character, all of it and a word; Ctrl-D at the beginning is the end. Throws Error when standard
  /// input cannot be read, and for a line of more than 16 MiB.
  Got read(std::string& line);
  bool is_terminal() const { return terminal_.held(); }

 private:
  Got read_bytes(std::string& line);
  Got read_keys();
  /// Reads more behind next_; false at the end of the input.
  bool refill();
  /// One byte that was typed; true when the line has ended.
  bool type(char byte);

  KeyTerminal terminal_;
  TypedLine typed_{[this](std::string_view text) { terminal_.draw(text); }};
  std::string kept_;  // what was read, from next_ on not yet looked at
  size_t next_ = 0;
  enum class Escape : uint8_t { none, begun, sequence, one_more } escape_ = Escape::none;
};

}  // namespace incipit::cli
