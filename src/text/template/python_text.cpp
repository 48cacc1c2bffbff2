#include "text/template/python_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <clocale>
#include <cmath>
#include <cwctype>
#include <limits>

#include "text/utf8.h"

namespace incipit::jinja {
namespace {

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

/// The C library's table of Unicode letters; without it letters beyond ASCII have no case.
locale_t unicode() {
  static const locale_t locale = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return locale;
}

bool is_ascii(uint32_t code_point) { return code_point < 0x80; }

uint32_t to_upper(uint32_t c) {
  if (is_ascii(c)) return c >= 'a' && c <= 'z' ? c - 32 : c;
  return unicode() == nullptr ? c : static_cast<uint32_t>(::towupper_l(static_cast<wint_t>(c), unicode()));
}

uint32_t to_lower(uint32_t c) {
  if (is_ascii(c)) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  return unicode() == nullptr ? c : static_cast<uint32_t>(::towlower_l(static_cast<wint_t>(c), unicode()));
}

bool has_case(uint32_t c) {
  if (to_upper(c) != c || to_lower(c) != c) return true;
  // Small letters without a capital of their own, such as ß.
  return !is_ascii(c) && unicode() != nullptr && ::iswlower_l(static_cast<wint_t>(c), unicode()) != 0;
}

void append_upper(std::string& text, uint32_t c) {
  constexpr uint32_t sharp_s = 0xdf;  // the one common letter whose capital form is two
  if (c == sharp_s) {
    text += "SS";
  } else {
    append_utf8(text, to_upper(c));
  }
}

template <typename Visit>
void each_character(std::string_view text, const Visit& visit) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Unit unit = utf8_unit_at(text, at);
    visit(unit.code_point, text.substr(at, unit.size));
    at += unit.size;
  }
}

template <typename Append>
std::string mapped(std::string_view text, const Append& append) {
  std::string result;
  result.reserve(text.size());
  each_character(text, [&](uint32_t c, std::string_view) { append(result, c); });
  return result;
}

size_t last_character(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && continues(text[at])) --at;
  return at;
}

bool is_printable(uint32_t c) {
  if (is_ascii(c)) return c >= 0x20 && c != 0x7f;
  if (c < 0xa1 || c == 0xad || is_python_space(c)) return false;
  const bool unassigned_or_format = (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
                                    (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xe000 && c <= 0xf8ff) ||
                                    (c >= 0xfff0 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe00ff) || c >= 0xf0000;
  return !unassigned_or_format;
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

std::string upper(std::string_view text) { return mapped(text, append_upper); }

std::string lower(std::string_view text) {
  return mapped(text, [](std::string& result, uint32_t c) { append_utf8(result, to_lower(c)); });
}

std::string swap_case(std::string_view text) {
  return mapped(text, [](std::string& result, uint32_t c) {
    if (to_lower(c) != c) {
      append_utf8(result, to_lower(c));
    } else {
      append_upper(result, c);
    }
  });
}

std::string capitalize(std::string_view text) {
  bool first = true;
  return mapped(text, [&](std::string& result, uint32_t c) {
    append_utf8(result, first ? to_upper(c) : to_lower(c));
    first = false;
  });
}

std::string title(std::string_view text) {
  bool inside = false;
  return mapped(text, [&](std::string& result, uint32_t c) {
    append_utf8(result, inside ? to_lower(c) : to_upper(c));
    inside = has_case(c);
  });
}

std::string title_words(std::string_view text) {
  bool inside = false;
  return mapped(text, [&](std::string& result, uint32_t c) {
    if (inside) {
      append_utf8(result, to_lower(c));
    } else {
      append_upper(result, c);
    }
    inside = !is_python_space(c) && c != '-' && c != '(' && c != '{' && c != '[' && c != '<';
  });
}

bool is_upper(std::string_view text) {
  bool cased = false, other = false;
  each_character(text, [&](uint32_t c, std::string_view) {
    cased |= has_case(c);
    other |= to_upper(c) != c;
  });
  return cased && !other;
}

bool is_lower(std::string_view text) {
  bool cased = false, other = false;
  each_character(text, [&](uint32_t c, std::string_view) {
    cased |= has_case(c);
    other |= to_lower(c) != c;
  });
  return cased && !other;
}

bool all_characters(std::string_view text, const std::function<bool(uint32_t)>& holds) {
  bool all = !text.empty();
  each_character(text, [&](uint32_t c, std::string_view) { all = all && holds(c); });
  return all;
}

bool is_alphabetic(uint32_t c) {
  if (is_ascii(c)) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return unicode() != nullptr && ::iswalpha_l(static_cast<wint_t>(c), unicode()) != 0;
}

bool is_decimal(uint32_t c) { return c >= '0' && c <= '9'; }

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

std::optional<int64_t> parse_python_integer(std::string_view text, int64_t base) {
  text = strip(text, std::nullopt, StripSide::both);
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
  if (magnitude > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return negative ? -static_cast<int64_t>(magnitude) : static_cast<int64_t>(magnitude);
}

std::optional<double> parse_python_float(std::string_view text) {
  text = strip(text, std::nullopt, StripSide::both);
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
