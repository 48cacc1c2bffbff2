// What a line shows while it is typed, on a terminal that is emulated: whatever was typed and erased before, the screen
// is that of the text that is left.
#include "cli/typed_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "base/utf8.h"

namespace incipit::cli {
namespace {

/// A terminal of few abilities: characters of no, one and two columns, \b, \r, \n and the escapes that are used.
class Screen {
 public:
  /// Behind the last column, `waits` leaves the cursor there until the next character, as most terminals do.
  Screen(TerminalSize size, bool waits) : size_(size), waits_(waits) { cells_.assign(rows(), blank()); }

  void draw(std::string_view text) {
    pending_ += text;
    while (!pending_.empty()) {
      const size_t size = pending_[0] == '\033' ? escape() : character();
      if (size == 0) return;
      pending_.erase(0, size);
    }
  }

  /// The rows from the screen's first to the cursor's, without blanks at their ends.
  std::vector<std::string> shown() const {
    std::vector<std::string> lines;
    for (size_t row = 0; row <= row_; ++row) {
      std::string line;
      for (const std::string& cell : cells_[row]) line += cell;
      line.resize(line.find_last_not_of(' ') + 1);
      lines.push_back(line);
    }
    return lines;
  }
  bool blank_behind() const {
    const auto is_blank = [](const std::string& cell) { return cell == " "; };
    for (size_t row = row_ + 1; row < rows(); ++row) {
      if (!std::ranges::all_of(cells_[row], is_blank)) return false;
    }
    return std::all_of(cells_[row_].begin() + static_cast<std::ptrdiff_t>(column_), cells_[row_].end(), is_blank);
  }
  size_t column() const { return column_; }

 private:
  using Row = std::vector<std::string>;
  size_t rows() const { return static_cast<size_t>(size_.rows); }
  size_t columns() const { return static_cast<size_t>(size_.columns); }
  Row blank() const { return Row(columns(), " "); }

  void next_row() {
    if (row_ + 1 < rows()) {
      ++row_;
      return;
    }
    cells_.erase(cells_.begin());
    cells_.push_back(blank());
  }

  size_t escape() {
    const size_t end = pending_.find_first_of("AHJ");
    if (end == std::string::npos) return 0;
    const std::string number = pending_.substr(2, end - 2);
    if (pending_[end] == 'A') row_ -= std::min(row_, static_cast<size_t>(std::stoi(number)));
    if (pending_[end] == 'H') row_ = column_ = 0;
    if (pending_[end] == 'J') {
      for (size_t column = column_; column < columns(); ++column) cells_[row_][column] = " ";
      for (size_t row = row_ + 1; row < rows(); ++row) cells_[row] = blank();
    }
    return end + 1;
  }

  size_t character() {
    const Utf8Unit unit = utf8_unit_at(pending_, 0);
    EXPECT_EQ(unit.kind, Utf8Unit::Kind::character) << "no half of a character is drawn";
    const std::string text = pending_.substr(0, unit.size);
    if (text == "\r") {
      column_ = 0;
    } else if (text == "\n") {
      next_row();
    } else if (text == "\b") {
      column_ = std::min(column_, columns() - 1);
      column_ -= column_ > 0 ? 1 : 0;
    } else if (unit.code_point == 0x301) {
      EXPECT_TRUE(column_ > 0 || row_ > 0);
      if (column_ > 0) cells_[row_][column_ - 1] += text;
    } else {
      put(text, unit.code_point >= 0x4e00 && unit.code_point < 0xa000 ? 2 : 1);
    }
    return unit.size;
  }

  void put(const std::string& text, size_t width) {
    if (column_ + width > columns()) {
      column_ = 0;
      next_row();
    }
    cells_[row_][column_] = text;
    if (width == 2) cells_[row_][column_ + 1] = "";
    column_ += width;
    if (column_ == columns() && !waits_) {
      column_ = 0;
      next_row();
    }
  }

  TerminalSize size_;
  bool waits_;
  std::vector<Row> cells_;
  size_t row_ = 0, column_ = 0;
  std::string pending_;
};

struct Shown {
  Screen screen;
  TypedLine line{[this](std::string_view text) { screen.draw(text); }};

  Shown(TerminalSize size, bool waits) : screen(size, waits) { line.begin(size); }
  Shown(const Shown&) = delete;
  Shown& operator=(const Shown&) = delete;
  void type(std::string_view text) {
    for (const char byte : text) line.type(byte);
  }
};

/// The same rows up to the cursor's, as far as both screens have them; how far up depends on what has scrolled away.
void expect_as_typed_anew(const Shown& edited, TerminalSize size, bool waits) {
  Shown fresh(size, waits);
  fresh.type(edited.line.text());
  std::vector<std::string> one = edited.screen.shown(), other = fresh.screen.shown();
  const size_t common = std::min(one.size(), other.size());
  one.erase(one.begin(), one.end() - static_cast<std::ptrdiff_t>(common));
  other.erase(other.begin(), other.end() - static_cast<std::ptrdiff_t>(common));
  ASSERT_EQ(one, other) << edited.line.text();
  ASSERT_EQ(edited.screen.column(), fresh.screen.column()) << edited.line.text();
  ASSERT_TRUE(edited.screen.blank_behind()) << edited.line.text();
}

TEST(TypedLine, BackspaceCrossesRows) {
  for (const bool waits : {true, false}) {
    Shown shown({10, 4}, waits);
    shown.type("abcdefghijkl");
    EXPECT_EQ(shown.screen.shown(), (std::vector<std::string>{"> abcdefgh", "ijkl"}));
    for (int i = 0; i < 6; ++i) shown.line.erase_character();
    EXPECT_EQ(shown.line.text(), "abcdef");
    EXPECT_EQ(shown.screen.shown(), std::vector<std::string>{"> abcdef"});
    EXPECT_TRUE(shown.screen.blank_behind());
    shown.type("xyz");
    EXPECT_EQ(shown.screen.shown(), (std::vector<std::string>{"> abcdefxy", "z"}));
  }
}

TEST(TypedLine, AWideCharacterLeavesTheLastColumnFree) {
  Shown shown({8, 4}, true);
  shown.type("abcde\xe4\xb8\xad");
  EXPECT_EQ(shown.screen.shown(), (std::vector<std::string>{"> abcde", "\xe4\xb8\xad"}));
  shown.line.erase_character();
  EXPECT_EQ(shown.screen.shown(), std::vector<std::string>{"> abcde"});
  EXPECT_EQ(shown.screen.column(), 7U);
  shown.type("f");
  EXPECT_EQ(shown.screen.shown(), (std::vector<std::string>{"> abcdef", ""}));
}

TEST(TypedLine, ComesBackFromBeyondTheScreen) {
  Shown shown({10, 3}, true);
  for (int i = 0; i < 12; ++i) shown.type("line " + std::to_string(i % 10) + "... ");
  while (shown.line.text().size() > 25) shown.line.erase_character();
  EXPECT_EQ(shown.screen.shown(), (std::vector<std::string>{". line 1..", ". line"}))
      << "as much as was left when it was drawn again";
  shown.line.erase_all();
  EXPECT_EQ(shown.screen.shown(), std::vector<std::string>{">"});
  EXPECT_TRUE(shown.screen.blank_behind());
}

TEST(TypedLine, WithoutASizeOnlyBackspacesAreDrawn) {
  std::string drawn;
  TypedLine line([&](std::string_view text) { drawn += text; });
  line.begin({});
  for (const char byte : std::string("ab \xc3\xa9\xe4\xb8\xad")) line.type(byte);
  line.erase_word();
  EXPECT_EQ(line.text(), "ab ");
  EXPECT_EQ(drawn, "> ab \xc3\xa9\xe4\xb8\xad\b \b\b \b\b \b");
}

TEST(TypedLine, BytesOfNoCharacterAreShownAndErasedToo) {
  Shown shown({20, 3}, true);
  shown.type(
      "a\xff"
      "b\xe4\xb8");
  EXPECT_EQ(shown.screen.shown(), std::vector<std::string>{"> a\xef\xbf\xbd"
                                                           "b"});
  shown.line.erase_character();
  EXPECT_EQ(shown.line.text(),
            "a\xff"
            "b");
  shown.line.erase_character();
  shown.line.erase_character();
  EXPECT_EQ(shown.line.text(), "a");
  EXPECT_EQ(shown.screen.shown(), std::vector<std::string>{"> a"});
}

TEST(TypedLine, ShowsTheTextWhateverWasErased) {
  const std::vector<std::string> characters{"a", "b", " ", "\xc3\xa9", "\xe4\xb8\xad", "\xe6\x96\x87", "\t"};
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    const TerminalSize size{4 + static_cast<int>(random() % 20), 2 + static_cast<int>(random() % 6)};
    const bool waits = random() % 2 == 0;
    Shown shown(size, waits);
    for (int i = 0; i < 150; ++i) {
      const auto choice = random() % 100;
      if (choice < 58) {
        shown.type(characters[random() % characters.size()]);
        if (random() % 8 == 0 && shown.screen.column() > 0) shown.type("\xcc\x81");
      } else if (choice < 94) {
        shown.line.erase_character();
      } else if (choice < 99) {
        shown.line.erase_word();
      } else {
        shown.line.erase_all();
      }
      expect_as_typed_anew(shown, size, waits);
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace incipit::cli
