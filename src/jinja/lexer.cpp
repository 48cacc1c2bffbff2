#include "jinja/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/ascii.h"
#include "base/utf8.h"
#include "jinja/fault.h"
#include "jinja/python_case.h"
#include "jinja/python_text.h"

namespace incipit::jinja {
namespace {

/// Lines end with \n alone, and one line's end at the end of the source is no part of the template.
std::string normalized(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

constexpr std::string_view signs[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                      "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) read_root();
    add(Token::Kind::end, {});
    return std::move(tokens_);
  }

 private:
  enum class Tag : uint8_t { print, statement, comment };

  bool follows(std::string_view text, size_t at) const {
    return source_.substr(std::min(at, source_.size())).starts_with(text);
  }
  char at(size_t position) const { return position < source_.size() ? source_[position] : '\0'; }

  void add(Token::Kind kind, std::string text) { tokens_.push_back({kind, line_, std::move(text)}); }

  /// Moves to `end`, counting lines.
  void advance_to(size_t end) {
    const std::string_view passed = source_.substr(at_, end - at_);
    line_ += static_cast<int32_t>(std::count(passed.begin(), passed.end(), '\n'));
    at_ = end;
  }

  size_t after_space(size_t position) const {
    while (position < source_.size()) {
      const Utf8Unit unit = utf8_unit_at(source_, position);
      if (!is_python_space(unit.code_point)) break;
      position += unit.size;
    }
    return position;
  }

  /// Data up to the next tag, and that tag.
  void read_root() {
    size_t open = at_;
    while (true) {
      open = source_.find('{', open);
      if (open == std::string_view::npos) {
        add(Token::Kind::data, std::string(source_.substr(at_)));
        return advance_to(source_.size());
      }
      const char next = at(open + 1);
      if (next == '{' || next == '%' || next == '#') break;
      ++open;
    }
    const Tag tag = at(open + 1) == '{' ? Tag::print : at(open + 1) == '%' ? Tag::statement : Tag::comment;
    const char mark = at(open + 2) == '-' || at(open + 2) == '+' ? at(open + 2) : '\0';
    read_data(open, mark, tag != Tag::print);
    const int32_t line = line_;
    const size_t inside = open + 2 + (mark != '\0' ? 1 : 0);
    if (tag == Tag::comment) return read_comment(inside, line);
    if (tag == Tag::statement) {
      if (const size_t raw = after_raw(inside)) return read_raw(raw, line);
    }
    add(tag == Tag::print ? Token::Kind::print_begin : Token::Kind::tag_begin, {});
    advance_to(inside);
    read_tag(tag == Tag::print ? "}}" : "%}", line);
  }

  /// Adds the data before a tag at `open`, whose mark and kind say what white space goes.
  void read_data(size_t open, char mark, bool strips_line) {
    std::string_view data = source_.substr(at_, open - at_);
    if (mark == '-') {
      data = strip(data, std::nullopt, StripSide::right);
    } else if (mark != '+' && strips_line) {
      const size_t last_end = data.rfind('\n');
      const size_t line_begin = last_end == std::string_view::npos ? 0 : last_end + 1;
      if ((line_begin > 0 || at_line_start_) && strip(data.substr(line_begin), std::nullopt, StripSide::left).empty()) {
        data = data.substr(0, line_begin);
      }
    }
    if (!data.empty()) add(Token::Kind::data, std::string(data));
    advance_to(open);
  }

  /// Moves behind a tag's end, and what goes with it. `size`: of the end itself, its mark included.
  void close(size_t size, char mark, bool trims_line) {
    size_t end = at_ + size;
    if (mark == '-') {
      end = after_space(end);
    } else if (mark != '+' && trims_line && at(end) == '\n') {
      ++end;
    }
    at_line_start_ = end > at_ && at(end - 1) == '\n';
    advance_to(end);
  }

  void read_comment(size_t inside, int32_t line) {
    const size_t end = source_.find("#}", inside);
    if (end == std::string_view::npos) throw SyntaxFault(line, "a comment has no end");
    const char mark = end > inside && (at(end - 1) == '-' || at(end - 1) == '+') ? at(end - 1) : '\0';
    advance_to(mark != '\0' ? end - 1 : end);
    close(mark != '\0' ? 3 : 2, mark, true);
  }

  /// Where the text of `raw` begins, if the tag whose inside this is says so; else 0.
  size_t after_raw(size_t inside) const {
    size_t position = after_space(inside);
    if (!follows("raw", position)) return 0;
    position = after_space(position + 3);
    if (follows("-%}", position)) return after_space(position + 3);
    return follows("%}", position) ? position + 2 : 0;
  }

  void read_raw(size_t begin, int32_t line) {
    advance_to(begin);
    at_line_start_ = at(begin - 1) == '\n';
    for (size_t open = source_.find("{%", begin); open != std::string_view::npos; open = source_.find("{%", open + 1)) {
      const char mark = at(open + 2) == '-' || at(open + 2) == '+' ? at(open + 2) : '\0';
      size_t position = after_space(open + 2 + (mark != '\0' ? 1 : 0));
      if (!follows("endraw", position)) continue;
      position = after_space(position + 6);
      const char end_mark = at(position) == '-' || at(position) == '+' ? at(position) : '\0';
      if (!follows("%}", position + (end_mark != '\0' ? 1 : 0))) continue;
      read_data(open, mark, true);
      advance_to(position);
      return close(end_mark != '\0' ? 3 : 2, end_mark, true);
    }
    throw SyntaxFault(line, "{% raw %} has no {% endraw %}");
  }

  /// The tokens of a tag up to its `end`.
  void read_tag(std::string_view end, int32_t line) {
    std::vector<char> open_brackets;
    while (true) {
      advance_to(after_space(at_));
      if (at_ >= source_.size()) throw SyntaxFault(line, fmt::format("a tag has no '{}'", end));
      if (open_brackets.empty()) {
        const bool statement = end == "%}";
        const char mark = at(at_) == '-' || (statement && at(at_) == '+') ? at(at_) : '\0';
        if (follows(end, at_ + (mark != '\0' ? 1 : 0))) {
          add(statement ? Token::Kind::tag_end : Token::Kind::print_end, {});
          return close(mark != '\0' ? 3 : 2, mark, statement);
        }
      }
      read_token(open_brackets);
    }
  }

  void read_token(std::vector<char>& open_brackets) {
    const char c = at(at_);
    if (is_ascii_digit(c)) return read_number();
    if (c == '\'' || c == '"') return read_string();
    const uint32_t code_point = utf8_unit_at(source_, at_).code_point;
    if (c == '_' || is_alphabetic(code_point)) return read_name();
    for (const std::string_view sign : signs) {
      if (!follows(sign, at_)) continue;
      match_bracket(sign.front(), open_brackets);
      add(Token::Kind::sign, std::string(sign));
      return advance_to(at_ + sign.size());
    }
    throw SyntaxFault(line_, fmt::format("unexpected character {}",
                                         python_quoted(source_.substr(at_, utf8_unit_at(source_, at_).size))));
  }

  void match_bracket(char c, std::vector<char>& open_brackets) const {
    if (c == '{' || c == '(' || c == '[') {
      open_brackets.push_back(c == '{' ? '}' : c == '(' ? ')' : ']');
    } else if (c == '}' || c == ')' || c == ']') {
      if (open_brackets.empty()) throw SyntaxFault(line_, fmt::format("unexpected '{}'", c));
      if (open_brackets.back() != c) {
        throw SyntaxFault(line_, fmt::format("unexpected '{}', expected '{}'", c, open_brackets.back()));
      }
      open_brackets.pop_back();
    }
  }

  void read_name() {
    size_t end = at_;
    while (end < source_.size()) {
      const Utf8Unit unit = utf8_unit_at(source_, end);
      if (source_[end] != '_' && !is_ascii_digit(source_[end]) && !is_alphabetic(unit.code_point)) break;
      end += unit.size;
    }
    add(Token::Kind::name, std::string(source_.substr(at_, end - at_)));
    advance_to(end);
  }

  /// Digits, with single underscores between them.
  size_t after_digits(size_t position) const {
    while (is_ascii_digit(at(position)) ||
           (at(position) == '_' && is_ascii_digit(at(position + 1)) && is_ascii_digit(at(position - 1)))) {
      ++position;
    }
    return position;
  }

  void read_number() {
    size_t end = after_digits(at_);
    bool real = false;
    // After a dot, digits are items of items: `list.0.1`.
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    if (!after_dot) {
      if (at(end) == '.' && is_ascii_digit(at(end + 1))) real = true, end = after_digits(end + 1);
      if (at(end) == 'e' || at(end) == 'E') {
        const size_t digits = end + 1 + (at(end + 1) == '+' || at(end + 1) == '-' ? 1 : 0);
        if (is_ascii_digit(at(digits))) real = true, end = after_digits(digits);
      }
    }
    const char letter = at(at_) == '0' ? static_cast<char>(at(at_ + 1) | 0x20) : '\0';
    if (!real && (letter == 'x' || letter == 'o' || letter == 'b')) {
      end = at_ + 2;
      while (std::isxdigit(static_cast<unsigned char>(at(end))) != 0 || at(end) == '_') ++end;
    }
    const std::string text(source_.substr(at_, end - at_));
    Token token{real ? Token::Kind::real : Token::Kind::integer, line_, text};
    if (real) {
      const std::optional<double> value = parse_python_float(text);
      if (!value) throw SyntaxFault(line_, fmt::format("'{}' is no number", text));
      token.real = *value;
    } else {
      const std::optional<int64_t> value = parse_python_integer(text, 0);
      if (!value) throw SyntaxFault(line_, fmt::format("'{}' is no integer of 64 bits", text));
      token.integer = *value;
    }
    tokens_.push_back(std::move(token));
    advance_to(end);
  }

  /// A hexadecimal escape of `digits` digits that begin at `position`.
  uint32_t read_code_point(size_t position, size_t digits) const {
    uint32_t value = 0;
    const std::string_view text = source_.substr(std::min(position, source_.size()), digits);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (text.size() < digits || error != std::errc() || end != text.data() + digits || value > 0x10ffff ||
        (value >= 0xd800 && value < 0xe000)) {
      throw SyntaxFault(line_, "a string has an escape that is no character");
    }
    return value;
  }

  void read_string() {
    const char quote = at(at_);
    std::string value;
    size_t i = at_ + 1;
    for (; i < source_.size() && source_[i] != quote; ++i) {
      if (source_[i] != '\\' || i + 1 == source_.size()) {
        value += source_[i];
        continue;
      }
      const char c = source_[++i];
      constexpr std::string_view names = "abfnrtv\\'\"", meant = "\a\b\f\n\r\t\v\\'\"";
      if (const size_t which = names.find(c); which != std::string_view::npos) {
        value += meant[which];
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        append_utf8(value, read_code_point(i + 1, digits));
        i += digits;
      } else if (c >= '0' && c <= '7') {
        uint32_t code = 0;
        size_t digits = 0;
        for (; digits < 3 && at(i + digits) >= '0' && at(i + digits) <= '7'; ++digits) {
          code = code * 8 + static_cast<uint32_t>(at(i + digits) - '0');
        }
        append_utf8(value, code);
        i += digits - 1;
      } else if (c == 'N') {
        throw SyntaxFault(line_, "a string names a character with \\N, which is not supported");
      } else if (c != '\n') {  // a line's end that is escaped is nothing
        value += '\\';
        value += c;
      }
    }
    if (i >= source_.size()) throw SyntaxFault(line_, "a string has no end");
    add(Token::Kind::string, std::move(value));
    advance_to(i + 1);
  }

  std::string_view source_;
  size_t at_ = 0;
  int32_t line_ = 1;
  bool at_line_start_ = true;  // whether what was read last ended with a line
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  const std::string text = normalized(source);
  return Lexer(text).run();
}

}  // namespace incipit::jinja
