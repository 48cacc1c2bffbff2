// Values as text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "jinja/value.h"

namespace incipit::jinja {

/// Python's str(): what `{{ value }}` puts out. An undefined value is nothing.
void append_text(Heap& heap, std::string& text, const Value& value);
/// The same as a text that lives in the heap; a string is itself.
std::string_view text_of(Heap& heap, const Value& value);
/// A value's text as markup: `<` as `&lt;` and so on, unless it is markup already.
Value escaped(Heap& heap, const Value& value);
/// Python's repr().
void append_repr(Heap& heap, std::string& text, const Value& value, int depth = 0);

/// How Python's json.dumps lays things out.
struct JsonLayout {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // of one level; without it, all in one line
  std::string item_separator = ", ", key_separator = ": ";
};
void append_json(Heap& heap, std::string& text, const Value& value, const JsonLayout& layout, int depth = 0);

}  // namespace incipit::jinja
