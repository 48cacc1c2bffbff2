#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"

namespace incipit {
namespace {

using Code = boost::json::error_code;
using Text = boost::json::string_view;

/// The one key of the object that stands for a large integer: no JSON text has it, because it is not UTF-8.
constexpr std::string_view large_integer_key = "\xff";
constexpr size_t max_depth = 100;

/// Python's three numbers that JSON does not have, put in place of literals of their length.
struct Literal {
  std::string_view name, stand_in;
  double number;
};
constexpr Literal literals[] = {
    {"-Infinity", "-0.000000", -std::numeric_limits<double>::infinity()},
    {"Infinity", "0.000000", std::numeric_limits<double>::infinity()},
    {"NaN", "0.0", std::numeric_limits<double>::quiet_NaN()},
};

/// A text whose literals have been replaced, and what stands at which position of it.
struct Replaced {
  std::string text;
  std::unordered_map<size_t, double> numbers;
};

bool may_be_of_number(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '-' || c == '.';
}

Replaced replace_literals(std::string_view text) {
  Replaced result{std::string(text), {}};
  bool in_string = false;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') in_string = !in_string;
    if (in_string) {
      if (text[at] == '\\') ++at;
      continue;
    }
    for (const Literal& literal : literals) {
      const size_t end = at + literal.name.size();
      if (!text.substr(at).starts_with(literal.name)) continue;
      if ((at > 0 && may_be_of_number(text[at - 1])) || (end < text.size() && may_be_of_number(text[end]))) continue;
      result.text.replace(at, literal.name.size(), literal.stand_in);
      result.numbers.emplace(at, literal.number);
      at = end - 1;
      break;
    }
  }
  return result;
}

/// What a handler of Boost's parser's events says to those that it does not look at. Sizes have no limits.
struct EventsPassedOver {
  static constexpr size_t max_object_size = static_cast<size_t>(-1);
  static constexpr size_t max_array_size = static_cast<size_t>(-1);
  static constexpr size_t max_key_size = static_cast<size_t>(-1);
  static constexpr size_t max_string_size = static_cast<size_t>(-1);

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code&) { return true; }
  bool on_object_end(size_t, Code&) { return true; }
  bool on_array_begin(Code&) { return true; }
  bool on_array_end(size_t, Code&) { return true; }
  bool on_key_part(Text, size_t, Code&) { return true; }
  bool on_key(Text, size_t, Code&) { return true; }
  bool on_string_part(Text, size_t, Code&) { return true; }
  bool on_string(Text, size_t, Code&) { return true; }
  bool on_number_part(Text, Code&) { return true; }
  bool on_int64(int64_t, Text, Code&) { return true; }
  bool on_uint64(uint64_t, Text, Code&) { return true; }
  bool on_double(double, Text, Code&) { return true; }
  bool on_bool(bool, Code&) { return true; }
  bool on_null(Code&) { return true; }
  bool on_comment_part(Text, Code&) { return true; }
  bool on_comment(Text, Code&) { return true; }
};

/// Makes a value of the events. Boost's own handler rounds floats carelessly and turns large integers into them.
struct ValueMaker : EventsPassedOver {
  bool on_object_end(size_t size, Code&) { return stack.push_object(size), true; }
  bool on_array_end(size_t size, Code&) { return stack.push_array(size), true; }
  bool on_key_part(Text part, size_t, Code&) { return stack.push_chars(part), true; }
  bool on_key(Text part, size_t, Code&) { return stack.push_key(part), true; }
  bool on_string_part(Text part, size_t, Code&) { return stack.push_chars(part), true; }
  bool on_string(Text part, size_t, Code&) { return stack.push_string(part), true; }
  bool on_int64(int64_t number, Text, Code&) { return stack.push_int64(number), true; }
  bool on_uint64(uint64_t number, Text, Code&) { return stack.push_uint64(number), true; }
  /// The text is all of the number, since the document is parsed in one piece.
  bool on_double(double, Text text, Code&) {
    if (replaced != nullptr) {
      const auto found = replaced->numbers.find(static_cast<size_t>(text.data() - replaced->text.data()));
      if (found != replaced->numbers.end()) return stack.push_double(found->second), true;
    }
    if (large_integers == LargeIntegers::kept && text.find_first_of(".eE") == Text::npos) {
      stack.push_key(large_integer_key);
      stack.push_string(text);
      stack.push_object(1);
    } else {
      stack.push_double(std::strtod(std::string(text).c_str(), nullptr));
    }
    return true;
  }
  bool on_bool(bool truth, Code&) { return stack.push_bool(truth), true; }
  bool on_null(Code&) { return stack.push_null(), true; }

  LargeIntegers large_integers = LargeIntegers::as_floats;
  const Replaced* replaced = nullptr;
  boost::json::value_stack stack;
};

/// How far a text could be read, and why no further.
struct Reading {
  size_t consumed = 0;
  Code fault;
  boost::json::value value;
};

Reading read(std::string_view text, LargeIntegers large_integers, const Replaced* replaced) {
  boost::json::parse_options options;
  options.max_depth = max_depth;
  boost::json::basic_parser<ValueMaker> parser(options);
  ValueMaker& maker = parser.handler();
  maker.large_integers = large_integers;
  maker.replaced = replaced;
  maker.stack.reset();
  Reading reading;
  reading.consumed = parser.write_some(false, text.data(), text.size(), reading.fault);
  if (!reading.fault && reading.consumed < text.size()) reading.fault = boost::json::error::extra_data;
  if (!reading.fault) reading.value = maker.stack.release();
  return reading;
}

/// Whether a text ends behind the first half of a surrogate pair, where its other half should begin.
bool ends_in_half_a_pair(std::string_view text) {
  constexpr size_t length = std::string_view("\\ud83d").size();
  if (text.ends_with("\\u")) text.remove_suffix(2);
  if (text.ends_with('\\')) text.remove_suffix(1);
  if (text.size() < length) return false;
  text.remove_prefix(text.size() - length);
  return text.starts_with("\\u") && (text[2] == 'd' || text[2] == 'D') &&
         std::string_view("89abAB").find(text[3]) != std::string_view::npos;
}

/// What is wrong with a text, and where: in a text of several lines the line, otherwise the byte.
std::string describe_fault(std::string_view text, const Reading& reading) {
  size_t at = reading.consumed;
  std::string what;
  if (const size_t valid = valid_utf8_prefix(text); valid < text.size() && valid <= at) {
    what = "no UTF-8";
    at = valid;
  } else if (reading.fault == boost::json::error::illegal_leading_surrogate ||
             reading.fault == boost::json::error::illegal_trailing_surrogate ||
             ends_in_half_a_pair(text.substr(0, at))) {
    what = "half a surrogate pair";
  } else {
    what = reading.fault.message();
  }
  if (text.find('\n') == std::string_view::npos) return fmt::format("{} at byte {}", what, at + 1);
  const auto line = 1 + std::ranges::count(text.substr(0, at), '\n');
  return fmt::format("{} in line {}", what, line);
}

}  // namespace

boost::json::value parse_json(std::string_view text, std::string_view thing, LargeIntegers large_integers) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  Reading reading = read(text, large_integers, nullptr);
  if (reading.fault) {
    const Replaced replaced = replace_literals(text);
    if (!replaced.numbers.empty()) reading = read(replaced.text, large_integers, &replaced);
  }
  if (reading.fault) {
    throw Error(thing, fmt::format("is not valid JSON: {}", describe_fault(text, reading)), "mend it");
  }
  return std::move(reading.value);
}

std::optional<std::string_view> large_integer(const boost::json::value& value) {
  const boost::json::object* object = value.if_object();
  if (object == nullptr || object->size() != 1 || object->begin()->key() != large_integer_key) return std::nullopt;
  const boost::json::string& digits = object->begin()->value().get_string();
  return std::string_view(digits.data(), digits.size());
}

namespace {

/// Boost's parser keeps the last of equal keys and says nothing; this handler watches for them.
struct KeyWatcher : EventsPassedOver {
  bool on_object_begin(Code&) { return keys.emplace_back(), true; }
  bool on_object_end(size_t, Code&) { return keys.pop_back(), true; }
  bool on_key_part(Text part, size_t, Code&) { return key += part, true; }
  bool on_key(Text part, size_t, Code& fault) {
    key += part;
    if (!keys.back().insert(key).second) {
      repeated = key;
      fault = boost::json::error::extra_data;  // stops the parser; its kind is not looked at
      return false;
    }
    key.clear();
    return true;
  }

  std::vector<std::unordered_set<std::string>> keys;
  std::string key, repeated;
};

}  // namespace

std::string repeated_key(std::string_view text) {
  boost::json::basic_parser<KeyWatcher> parser(boost::json::parse_options{});
  boost::json::error_code fault;
  parser.write_some(false, text.data(), text.size(), fault);
  return parser.handler().repeated;
}

boost::json::value finite_or_null(double number) {
  if (std::isfinite(number)) return number;
  return nullptr;
}

std::string_view kind_name(const boost::json::value& value) {
  switch (value.kind()) {
    case boost::json::kind::null: return "null";
    case boost::json::kind::bool_: return "true or false";
    case boost::json::kind::int64:
    case boost::json::kind::uint64: return "an integer";
    case boost::json::kind::double_: return "a number";
    case boost::json::kind::string: return "a string";
    case boost::json::kind::array: return "a list";
    case boost::json::kind::object: return large_integer(value) ? "an integer beyond 64 bits" : "an object";
  }
  INCIPIT_ASSERT(!"kind");
}

}  // namespace incipit
