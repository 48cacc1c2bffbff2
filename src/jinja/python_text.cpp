#include "jinja/python_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/utf8.h"
#include "jinja/python_case.h"

namespace incipit::jinja {
namespace {

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

template <typename Visit>
void each_character(std::string_view text, const Visit& visit) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Unit unit = utf8_unit_at(text, at);
    visit(unit.code_point, text.substr(at, unit.size));
    at += unit.size;
  }
}

size_t last_character(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && continues(text[at])) --at;
  return at;
}

/// As Python reads numbers: digits of any script as ASCII's, without white space around them.
std::string with_ascii_digits(std::string_view text) {
  std::string result;
  each_character(strip(text, std::nullopt, StripSide::both), [&](uint32_t c, std::string_view bytes) {
    if (const auto value = decimal_value(c)) {
      result += static_cast<char>('0' + *value);
    } else {
      result += bytes;
    }
  });
  return result;
}

/// Digits with single underscores between them, as Python writes long numbers; nothing when they stand elsewhere.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
    } else if (i == 0 || i + 1 == text.size() || text[i - 1] == '_') {
      return std::nullopt;
    }
  }
  return digits;
}

}  // namespace

size_t count_characters(std::string_view text) {
  return text.size() - static_cast<size_t>(std::count_if(text.begin(), text.end(), continues));
}

size_t byte_of_character(std::string_view text, size_t position) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if (continues(text[at])) continue;
    if (position == 0) break;
    --position;
  }
  return at;
}

bool is_python_space(uint32_t code_point) {
  return (code_point >= 0x1c && code_point <= 0x1f) || is_white_space(code_point);
}

std::string_view strip(std::string_view text, std::optional<std::string_view> characters, StripSide side) {
  const auto goes = [&](std::string_view character) {
    return characters ? characters->find(character) != std::string_view::npos
                      : is_python_space(utf8_unit_at(character, 0).code_point);
  };
  if (side != StripSide::right) {
    while (!text.empty()) {
      const size_t size = utf8_unit_at(text, 0).size;
      if (!goes(text.substr(0, size))) break;
      text.remove_prefix(size);
    }
  }
  if (side != StripSide::left) {
    while (!text.empty()) {
      const size_t last = last_character(text);
      if (!goes(text.substr(last))) break;
      text = text.substr(0, last);
    }
  }
  return text;
}

std::vector<std::string_view> split_at_space(std::string_view text, int64_t most) {
  std::vector<std::string_view> parts;
  while (true) {
    text = strip(text, std::nullopt, StripSide::left);
    if (text.empty()) return parts;
    if (most >= 0 && static_cast<int64_t>(parts.size()) == most) {
      parts.push_back(text);
      return parts;
    }
    size_t end = 0;
    while (end < text.size()) {
      const Utf8Unit unit = utf8_unit_at(text, end);
      if (is_python_space(unit.code_point)) break;
      end += unit.size;
    }
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

std::vector<std::string_view> split_at_space_from_right(std::string_view text, int64_t most) {
  std::vector<std::string_view> parts;
  while (true) {
    text = strip(text, std::nullopt, StripSide::right);
    if (text.empty()) break;
    if (most >= 0 && static_cast<int64_t>(parts.size()) == most) {
      parts.push_back(text);
      break;
    }
    size_t begin = text.size();
    while (begin > 0) {
      const size_t last = last_character(text.substr(0, begin));
      if (is_python_space(utf8_unit_at(text, last).code_point)) break;
      begin = last;
    }
    parts.push_back(text.substr(begin));
    text = text.substr(0, begin);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text, size_t most, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size() && lines.size() < most;) {
    const Utf8Unit unit = utf8_unit_at(text, at);
    const uint32_t c = unit.code_point;
    size_t next = at + unit.size;
    if ((c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029) {
      if (c == '\r' && next < text.size() && text[next] == '\n') ++next;
      lines.push_back(text.substr(begin, (keep_ends ? next : at) - begin));
      begin = next;
    }
    at = next;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

bool all_characters(std::string_view text, const std::function<bool(uint32_t)>& holds) {
  bool all = !text.empty();
  each_character(text, [&](uint32_t c, std::string_view) { all = all && holds(c); });
  return all;
}

std::string python_quoted(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = single ? '"' : '\'';
  std::string result(1, quote);
  each_character(text, [&](uint32_t c, std::string_view bytes) {
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      result += '\\';
      result += bytes;
    } else if (c == '\n') {
      result += "\\n";
    } else if (c == '\r') {
      result += "\\r";
    } else if (c == '\t') {
      result += "\\t";
    } else if (is_printable(c)) {
      result += bytes;
    } else if (c < 0x100) {
      result += fmt::format("\\x{:02x}", c);
    } else if (c < 0x10000) {
      result += fmt::format("\\u{:04x}", c);
    } else {
      result += fmt::format("\\U{:08x}", c);
    }
  });
  result += quote;
  return result;
}

std::string python_float(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto shortest = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific);
  const std::string text(buffer, shortest.ptr);
  const size_t e = text.find('e');
  const int exponent = std::stoi(text.substr(e + 1));
  if (exponent < -4 || exponent >= 16) return text;
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::fixed);
  std::string result(buffer, fixed.ptr);
  if (result.find('.') == std::string::npos) result += ".0";
  return result;
}

std::optional<int64_t> parse_python_integer(std::string_view written, int64_t base) {
  const std::string plain = with_ascii_digits(written);
  std::string_view text = plain;
  bool negative = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  const auto prefixed = [&](char letter) {
    return text.size() > 2 && text[0] == '0' && (text[1] == letter || text[1] == letter - 32);
  };
  for (const auto& [letter, of] : {std::pair{'x', 16}, {'o', 8}, {'b', 2}}) {
    if ((base == of || base == 0) && prefixed(letter)) {
      text.remove_prefix(text[2] == '_' ? 3 : 2);
      base = of;
    }
  }
  if (base == 0) base = 10;
  if (base < 2 || base > 36) return std::nullopt;
  const std::optional<std::string> digits = without_underscores(text);
  if (!digits || digits->empty()) return std::nullopt;
  uint64_t magnitude = 0;
  const auto [end, error] =
      std::from_chars(digits->data(), digits->data() + digits->size(), magnitude, static_cast<int>(base));
  if (error != std::errc() || end != digits->data() + digits->size()) return std::nullopt;
  const uint64_t largest = static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) + (negative ? 1 : 0);
  if (magnitude > largest) return std::nullopt;
  return static_cast<int64_t>(negative ? uint64_t{0} - magnitude : magnitude);
}

std::optional<std::string> large_decimal(std::string_view written) {
  const std::string plain = with_ascii_digits(written);
  std::string_view text = plain;
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  std::optional<std::string> digits = without_underscores(text);
  if (!digits || digits->find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  digits->erase(0, std::min(digits->find_first_not_of('0'), digits->size()));
  if (digits->empty() || parse_python_integer(written, 10)) return std::nullopt;
  return (negative ? "-" : "") + *digits;
}

std::optional<double> parse_python_float(std::string_view written) {
  const std::string plain = with_ascii_digits(written);
  std::string_view text = plain;
  bool negative = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  if (text.empty() || text.front() == '-' || text.front() == '+') return std::nullopt;
  const std::optional<std::string> digits = without_underscores(text);
  if (!digits) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(digits->data(), digits->data() + digits->size(), value);
  if (end != digits->data() + digits->size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    value = digits->find("e-") != std::string::npos ? 0 : std::numeric_limits<double>::infinity();
  } else if (error != std::errc()) {
    return std::nullopt;
  }
  return negative ? -value : value;
}

}  // namespace incipit::jinja
