// A line while it is typed on a terminal, over as many rows as it takes there.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/terminal.h"

namespace incipit::cli {

/// Keeps the text and shows it. Every row is ended where the terminal's last column is filled, so that the cursor
/// always stands where the next character will: terminals differ in where they leave it behind the last column. With no
/// size known, a line is one endless row, and nothing but backspaces is drawn to go back.
class TypedLine {
 public:
  explicit TypedLine(std::function<void(std::string_view)> draw) : draw_(std::move(draw)) {}

  /// An empty line behind "> ".
  void begin(TerminalSize size);
  /// The terminal has another size, and has broken the line's rows anew by itself.
  void resize(TerminalSize size);
  /// A character is shown when its last byte has come; a byte of none as U+FFFD.
  void type(char byte);
  /// Takes off the last character, a word with the spaces behind it, all.
  void erase_character();
  void erase_word();
  void erase_all() { erase_from(0); }

  const std::string& text() const { return text_; }

 private:
  size_t row() const { return rows_.size() - 1; }
  void place(size_t from);
  void wrap();
  void repaint(size_t first_row);
  void erase_from(size_t size);
  void move_to(size_t old_row, int old_column, bool redraw);

  std::function<void(std::string_view)> draw_;
  TerminalSize size_;
  std::string text_;
  size_t shown_ = 0;             // bytes of text_ that are drawn; behind them a character that is not whole
  std::vector<size_t> rows_{0};  // where each begins in text_
  int column_ = 0;               // of the cursor
  size_t lowest_row_ = 0;        // the lowest that was ever drawn: what is a screen above it has scrolled away
  bool quiet_ = false;           // places are found, and nothing is drawn
};

}  // namespace incipit::cli
