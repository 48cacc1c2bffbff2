#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <cmath>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/error.h"

namespace incipit {

boost::json::value parse_json(std::string_view text, std::string_view thing) {
  boost::json::stream_parser parser;
  boost::json::error_code fault;
  const size_t consumed = parser.write_some(text.data(), text.size(), fault);
  if (!fault && consumed < text.size()) fault = boost::json::error::extra_data;
  if (!fault) parser.finish(fault);
  if (fault) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(consumed), '\n');
    throw Error(thing, fmt::format("is not valid JSON: {} in line {}", fault.message(), line), "mend the file");
  }
  return parser.release();
}

namespace {

/// Boost's parser keeps the last of equal keys and says nothing; this handler of its events watches for them.
struct KeyWatcher {
  static constexpr size_t max_object_size = static_cast<size_t>(-1);
  static constexpr size_t max_array_size = static_cast<size_t>(-1);
  static constexpr size_t max_key_size = static_cast<size_t>(-1);
  static constexpr size_t max_string_size = static_cast<size_t>(-1);

  using Code = boost::json::error_code;
  using Text = boost::json::string_view;

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code&) { return keys.emplace_back(), true; }
  bool on_object_end(size_t, Code&) { return keys.pop_back(), true; }
  bool on_array_begin(Code&) { return true; }
  bool on_array_end(size_t, Code&) { return true; }
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
    case boost::json::kind::object: return "an object";
  }
  INCIPIT_ASSERT(!"kind");
}

}  // namespace incipit
