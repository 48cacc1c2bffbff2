#include "cli/typed_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/utf8.h"

namespace incipit::cli {
namespace {

constexpr std::string_view line_prompt = "> ";
constexpr int narrowest = 4;  // columns; where fewer are left, a terminal is as good as none

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

/// Where the last character of a text begins, or the last byte that is of none.
size_t last_character(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && text.size() - begin < 4 && (static_cast<unsigned char>(text[begin]) & 0xc0u) == 0x80u) --begin;
  return is_one_character(text.substr(begin)) ? begin : text.size() - 1;
}

}  // namespace

void TypedLine::begin(TerminalSize size) {
  size_ = size.columns < narrowest ? TerminalSize{} : size;
  text_.clear();
  lowest_row_ = 0;
  repaint(0);
}

void TypedLine::resize(TerminalSize size) {
  if (size.columns < narrowest) size = {};
  if (size.columns == size_.columns && size.rows == size_.rows) return;
  size_ = size;
  lowest_row_ = 0;
  quiet_ = true;
  repaint(0);
  quiet_ = false;
}

void TypedLine::type(char byte) {
  text_ += byte;
  place(shown_);
}

void TypedLine::erase_character() {
  if (!text_.empty()) erase_from(shown_ < text_.size() ? shown_ : last_character(text_));
}

void TypedLine::erase_word() {
  const size_t letter = text_.find_last_not_of(' ');
  const size_t space = letter == std::string::npos ? letter : text_.find_last_of(' ', letter);
  erase_from(space == std::string::npos ? 0 : space + 1);
}

/// Draws the characters from a byte of the text on, where the cursor stands.
void TypedLine::place(size_t from) {
  for (shown_ = from; shown_ < text_.size();) {
    const Utf8Unit unit = utf8_unit_at(text_, shown_);
    if (unit.kind == Utf8Unit::Kind::cut_off) return;
    const int columns = columns_of(unit.code_point);
    if (size_.columns > 0 && column_ + columns > size_.columns) wrap();
    if (!quiet_) {
      std::string drawn;
      append_utf8(drawn, unit.code_point == '\t' ? ' ' : unit.code_point);
      draw_(drawn);
    }
    column_ += columns;
    shown_ += unit.size;
    if (column_ == size_.columns) wrap();
  }
}

/// Goes on in the next row; columns that are left, too few for a wide character, are filled. The space behind the last
/// column makes every terminal go on, whether it has done so already or waits for a character.
void TypedLine::wrap() {
  const auto left = static_cast<size_t>(size_.columns - column_);
  if (!quiet_) draw_(std::string(left, ' ') + " \r");
  column_ = 0;
  rows_.push_back(shown_);
  lowest_row_ = std::max(lowest_row_, row());
}

/// Draws the line from the beginning of a row on, where the cursor stands in its first column.
void TypedLine::repaint(size_t first_row) {
  rows_.resize(first_row + 1);
  column_ = first_row == 0 ? static_cast<int>(line_prompt.size()) : 0;
  if (first_row == 0 && !quiet_) draw_(line_prompt);
  place(rows_.back());
}

void TypedLine::erase_from(size_t size) {
  if (size == text_.size()) return;
  const size_t old_row = row();
  const int old_column = column_;
  const bool was_shown = size < shown_;
  // A mark is gone from a character that stays, which backspaces would not erase.
  const bool takes_mark = was_shown && columns_of(utf8_unit_at(text_, size).code_point) == 0;
  text_.resize(size);
  if (!was_shown) return;
  // The row that the text now ends in, and its column there: a row may have been left with a column free, which now
  // is not.
  while (row() > 0 && rows_.back() >= size) rows_.pop_back();
  quiet_ = true;
  repaint(row());
  quiet_ = false;
  move_to(old_row, old_column, takes_mark);
}

/// Brings the cursor to where the text ends from where more of it ended, and erases what is behind.
void TypedLine::move_to(size_t old_row, int old_column, bool redraw) {
  const auto screen = static_cast<size_t>(size_.rows);
  if (screen > 0 && row() + screen <= lowest_row_) {  // that row has left the screen
    draw_("\033[H\033[J");
    const size_t first = row() + 1 > screen ? row() + 1 - screen : 0;
    repaint(first);
    lowest_row_ = first + screen - 1;
    return;
  }
  if (row() == old_row && (!redraw || size_.columns == 0)) {
    for (int i = column_; i < old_column; ++i) draw_("\b \b");
    return;
  }
  if (old_row > row()) draw_(fmt::format("\033[{}A", old_row - row()));
  draw_("\r\033[J");
  repaint(row());
}

}  // namespace incipit::cli
