#include "jinja/python_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "base/utf8.h"
#include "jinja/print.h"
#include "jinja/python_text.h"

namespace incipit::jinja {
namespace {

constexpr int64_t widest = 1000;  // more is no layout but an attack

/// How one value is written: the common part of both languages.
struct Field {
  std::string fill = " ";
  char align = '\0';  // < > ^ =, or the type's own
  char sign = '-';    // - + or a space
  bool alternate = false, grouped = false;
  int64_t width = 0, precision = -1;
  char type = '\0';
};

bool is_one_of(std::string_view characters, char c) { return characters.find(c) != std::string_view::npos; }

std::string with_commas(const std::string& digits) {
  const size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
  std::string result;
  for (size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % 3 == 0) result += ',';
    result += digits[i];
  }
  return result + digits.substr(whole);
}

std::string padded(const Field& field, const std::string& sign, const std::string& body, char own_align) {
  const int64_t size = static_cast<int64_t>(count_characters(sign) + count_characters(body));
  const size_t missing = size < field.width ? static_cast<size_t>(field.width - size) : 0;
  const char align = field.align != '\0' ? field.align : own_align;
  const size_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  const auto filling = [&](size_t count) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += field.fill;
    return text;
  };
  if (align == '=') return sign + filling(missing) + body;
  return filling(left) + sign + body + filling(missing - left);
}

std::string sign_text(const Field& field, bool negative) {
  return negative ? "-" : field.sign == '-' ? "" : std::string(1, field.sign);
}

std::string formatted_digits(const Field& field, bool negative, const std::string& prefix, std::string digits) {
  if (field.grouped) digits = with_commas(digits);
  return padded(field, sign_text(field, negative) + (field.alternate ? prefix : ""), digits, '>');
}

std::string formatted_integer(const Field& field, int64_t value) {
  const uint64_t magnitude = value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string digits, prefix;
  switch (field.type) {
    case 'x': digits = fmt::format("{:x}", magnitude), prefix = "0x"; break;
    case 'X': digits = fmt::format("{:X}", magnitude), prefix = "0X"; break;
    case 'o': digits = fmt::format("{:o}", magnitude), prefix = "0o"; break;
    case 'b': digits = fmt::format("{:b}", magnitude), prefix = "0b"; break;
    default: digits = std::to_string(magnitude);
  }
  return formatted_digits(field, value < 0, prefix, digits);
}

std::string formatted_large_integer(const Field& field, std::string_view digits) {
  if (is_one_of("xXob", field.type)) throw Fault("an integer is beyond 64 bits");
  const bool negative = digits.front() == '-';
  return formatted_digits(field, negative, {}, std::string(digits.substr(negative ? 1 : 0)));
}

/// The general form without a type: as str() writes floats.
std::string general(double magnitude, int64_t precision, bool upper) {
  if (precision < 0) return python_float(magnitude);
  return upper ? fmt::format("{:.{}G}", magnitude, precision) : fmt::format("{:.{}g}", magnitude, precision);
}

std::string formatted_real(const Field& field, double value) {
  const bool negative = std::signbit(value) && !std::isnan(value);
  const double magnitude = std::fabs(value);
  const int64_t precision = field.precision < 0 ? 6 : field.precision;
  std::string digits;
  switch (field.type) {
    case 'f':
    case 'F': digits = fmt::format("{:.{}f}", magnitude, precision); break;
    case 'e': digits = fmt::format("{:.{}e}", magnitude, precision); break;
    case 'E': digits = fmt::format("{:.{}E}", magnitude, precision); break;
    case '%': digits = fmt::format("{:.{}f}%", magnitude * 100, precision); break;
    case 'g':
    case 'G': digits = general(magnitude, std::max<int64_t>(precision, 1), field.type == 'G'); break;
    default: digits = general(magnitude, field.precision, false);
  }
  if (field.grouped) digits = with_commas(digits);
  return padded(field, sign_text(field, negative), digits, '>');
}

std::string formatted_text(const Field& field, std::string_view text) {
  if (field.precision >= 0) text = text.substr(0, byte_of_character(text, static_cast<size_t>(field.precision)));
  return padded(field, {}, std::string(text), '<');
}

/// Reads the digits at `at`, moving behind them.
std::optional<int64_t> read_number(std::string_view text, size_t& at) {
  std::optional<int64_t> number;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    number = number.value_or(0) * 10 + (text[at] - '0');
    if (*number > widest) throw Fault(fmt::format("a width or precision is above {}", widest));
  }
  return number;
}

/// What a % conversion takes its values from.
class PercentValues {
 public:
  explicit PercentValues(const Value& values) : values_(values) {}

  Value next() {
    if (!values_.is(Kind::tuple)) {
      if (used_++ > 0) throw Fault("not enough arguments for format string");
      return values_;
    }
    if (used_ >= values_.list().items.size()) throw Fault("not enough arguments for format string");
    return values_.list().items[used_++];
  }
  Value named(Heap& heap, std::string_view name) {
    if (!values_.is(Kind::dict)) throw Fault("format requires a mapping");
    const Value* value = values_.dict().find(heap, name);
    if (value == nullptr) throw Fault(fmt::format("a format names {}, which is not there", python_quoted(name)));
    used_ = 1;
    return *value;
  }
  bool all_used() const {
    if (values_.is(Kind::tuple)) return used_ >= values_.list().items.size();
    // Whatever has items may be a mapping, of which not all need be used.
    return used_ > 0 || values_.is(Kind::dict) || values_.is(Kind::list) || values_.is(Kind::range) ||
           values_.is_undefined();
  }

 private:
  Value values_;
  size_t used_ = 0;
};

std::string percent_field(Heap& heap, Field field, const Value& value) {
  std::string text;
  switch (field.type) {
    case 's':
    case 'r':
    case 'a':
      if (field.type == 's') {
        append_text(heap, text, value);
      } else {
        append_repr(heap, text, value);
      }
      if (field.align == '\0') field.align = '>';
      return formatted_text(field, text);
    case 'c':
      if (value.is_string() && count_characters(value.text()) == 1) {
        text = value.text();
      } else if (value.is_integral() && value.integer() >= 0 && value.integer() <= 0x10ffff &&
                 (value.integer() < 0xd800 || value.integer() > 0xdfff)) {
        append_utf8(text, static_cast<uint32_t>(value.integer()));
      } else {
        throw Fault("%c requires int or char");
      }
      return padded(field, {}, text, '>');
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o': {
      require_defined(value);
      if (value.is(Kind::large_integer)) return formatted_large_integer(field, value.text());
      if (!value.is_number()) {
        throw Fault(fmt::format("%{} format: a real number is required, not {}", field.type, type_name(value)));
      }
      if (value.is(Kind::real) && !(std::fabs(value.number()) < 0x1p63)) throw Fault("an integer is beyond 64 bits");
      return formatted_integer(field, value.is(Kind::real) ? static_cast<int64_t>(value.number()) : value.integer());
    }
    default:
      require_defined(value);
      if (!value.is_number() && !value.is(Kind::large_integer)) {
        throw Fault(fmt::format("must be real number, not {}", type_name(value)));
      }
      return formatted_real(field, float_of(value));
  }
}

/// The mark that a `{…:mark}` field carries.
Field read_mark(std::string_view mark) {
  Field field;
  size_t at = 0;
  if (!mark.empty()) {
    const size_t first = utf8_unit_at(mark, 0).size;
    if (first < mark.size() && is_one_of("<>^=", mark[first])) {
      field.fill = mark.substr(0, first);
      field.align = mark[first];
      at = first + 1;
    } else if (is_one_of("<>^=", mark[0])) {
      field.align = mark[0];
      at = 1;
    }
  }
  const auto take = [&](std::string_view characters) {
    return at < mark.size() && is_one_of(characters, mark[at]) ? mark[at++] : '\0';
  };
  if (const char sign = take("+- ")) field.sign = sign;
  field.alternate = take("#") != '\0';
  if (take("0") != '\0' && field.align == '\0') field.fill = "0", field.align = '=';
  field.width = read_number(mark, at).value_or(0);
  field.grouped = take(",") != '\0';
  if (take(".") != '\0') {
    const auto precision = read_number(mark, at);
    if (!precision) throw Fault("Format specifier missing precision");
    field.precision = *precision;
  }
  field.type = take("sdxXobeEfFgG%n");
  if (at != mark.size()) throw Fault(fmt::format("Invalid format specifier {}", python_quoted(mark)));
  return field;
}

std::string brace_field(Heap& heap, const Field& field, const Value& value) {
  require_defined(value);
  const bool is_plain = field.type == '\0';
  const bool as_integer = is_plain ? !value.is(Kind::boolean) : !is_one_of("eEfFgG%", field.type);
  if ((value.is_integral() || value.is(Kind::large_integer)) && as_integer) {
    if (field.type == 's') throw Fault("Unknown format code 's' for object of type 'int'");
    if (value.is(Kind::large_integer)) return formatted_large_integer(field, value.text());
    return formatted_integer(field, value.integer());
  }
  if (value.is(Kind::large_integer)) return formatted_real(field, float_of(value));
  if (value.is_number() && (value.is(Kind::real) || field.type != '\0')) {
    if (is_one_of("sdxXob", field.type == '\0' ? 'g' : field.type)) {
      throw Fault(fmt::format("Unknown format code '{}' for object of type 'float'", field.type));
    }
    return formatted_real(field, value.number());
  }
  if (field.type != '\0' && field.type != 's') {
    throw Fault(fmt::format("Unknown format code '{}' for object of type '{}'", field.type, type_name(value)));
  }
  return formatted_text(field, text_of(heap, value));
}

}  // namespace

Value percent_format(Heap& heap, std::string_view format, const Value& values) {
  heap.step_bytes(format.size());
  PercentValues source(values);
  std::string text;
  for (size_t at = 0; at < format.size();) {
    if (format[at] != '%') {
      const size_t end = std::min(format.find('%', at), format.size());
      text += format.substr(at, end - at);
      at = end;
      continue;
    }
    heap.step();
    ++at;
    std::optional<std::string_view> name;
    if (at < format.size() && format[at] == '(') {
      const size_t end = format.find(')', at);
      if (end == std::string_view::npos) throw Fault("incomplete format key");
      name = format.substr(at + 1, end - at - 1);
      at = end + 1;
    }
    Field field;
    for (; at < format.size() && is_one_of("-+ #0", format[at]); ++at) {
      const char flag = format[at];
      if (flag == '-') field.align = '<';
      if (flag == '+' || (flag == ' ' && field.sign == '-')) field.sign = flag;
      if (flag == '#') field.alternate = true;
      if (flag == '0' && field.align == '\0') field.align = '=', field.fill = "0";
    }
    if (field.align == '<') field.fill = " ";
    field.width = read_number(format, at).value_or(0);
    if (at < format.size() && format[at] == '.') field.precision = read_number(format, ++at).value_or(0);
    if (at >= format.size()) throw Fault("incomplete format");
    field.type = format[at++];
    if (field.type == '%') {
      text += '%';
      continue;
    }
    if (!is_one_of("sradiuxXofFeEgGc", field.type)) {
      throw Fault(fmt::format("unsupported format character {}", python_quoted(format.substr(at - 1, 1))));
    }
    if (is_one_of("src", field.type)) field.fill = " ", field.align = field.align == '=' ? '\0' : field.align;
    text += percent_field(heap, field, name ? source.named(heap, *name) : source.next());
    heap.check_string(text.size());
  }
  if (!source.all_used()) throw Fault("not all arguments converted during string formatting");
  return Value::string(heap.keep(text));
}

Value brace_format(Heap& heap, std::string_view format, const Arguments& arguments) {
  heap.step_bytes(format.size());
  std::string text;
  size_t counted = 0;
  for (size_t at = 0; at < format.size(); ++at) {
    const char c = format[at];
    if (c != '{' && c != '}') {
      text += c;
      continue;
    }
    if (at + 1 < format.size() && format[at + 1] == c) {
      text += c;
      ++at;
      continue;
    }
    heap.step();
    const size_t end = format.find('}', at);
    if (c == '}') throw Fault("Single '}' encountered in format string");
    if (end == std::string_view::npos) throw Fault("Single '{' encountered in format string");
    std::string_view name = format.substr(at + 1, end - at - 1), mark;
    at = end;
    if (const size_t colon = name.find(':'); colon != std::string_view::npos) {
      mark = name.substr(colon + 1);
      name = name.substr(0, colon);
    }
    char conversion = '\0';
    if (name.size() >= 2 && name[name.size() - 2] == '!') {
      conversion = name.back();
      name.remove_suffix(2);
    }
    Value value;
    size_t digits = 0;
    const std::optional<int64_t> number = name.empty() ? static_cast<int64_t>(counted++) : read_number(name, digits);
    if (number && digits == name.size()) {
      if (static_cast<size_t>(*number) >= arguments.positional.size()) {
        throw Fault(fmt::format("Replacement index {} out of range for positional args tuple", *number));
      }
      value = arguments.positional[static_cast<size_t>(*number)];
    } else {
      const auto found = std::find_if(arguments.keywords.begin(), arguments.keywords.end(),
                                      [&](const auto& keyword) { return keyword.first == name; });
      if (found == arguments.keywords.end()) {
        throw Fault(fmt::format("a format names {}, which is not there", python_quoted(name)));
      }
      value = found->second;
    }
    if (conversion != '\0') {
      std::string converted;
      if (conversion == 'r' || conversion == 'a') {
        append_repr(heap, converted, value);
      } else {
        append_text(heap, converted, value);
      }
      value = Value::string(heap.keep(converted));
    }
    text += brace_field(heap, read_mark(mark), value);
    heap.check_string(text.size());
  }
  return Value::string(heap.keep(text));
}

}  // namespace incipit::jinja
