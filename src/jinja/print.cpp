#include "jinja/print.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/utf8.h"
#include "jinja/functions.h"
#include "jinja/operators.h"
#include "jinja/python_text.h"

namespace incipit::jinja {
namespace {

constexpr int deepest_printed = 100;

void check(Heap& heap, const std::string& text, int depth) {
  heap.step();
  heap.check_string(text.size());
  if (depth > deepest_printed) throw Fault("values lie too deep within one another to be written out");
}

void append_items(Heap& heap, std::string& text, const List& list, int depth) {
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) text += ", ";
    append_repr(heap, text, list.items[i], depth + 1);
  }
}

void append_dict(Heap& heap, std::string& text, const Dict& dict, int depth) {
  text += '{';
  for (size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) text += ", ";
    append_repr(heap, text, dict.entries[i].key, depth + 1);
    text += ": ";
    append_repr(heap, text, dict.entries[i].value, depth + 1);
  }
  text += '}';
}

void append_json_string(std::string& text, std::string_view string, bool ensure_ascii) {
  text += '"';
  for (size_t at = 0; at < string.size();) {
    const Utf8Unit unit = utf8_unit_at(string, at);
    const uint32_t c = unit.code_point;
    constexpr std::string_view meant = "\"\\\n\r\t\f\b", names = "\"\\nrtfb";
    if (const size_t which = c < 0x80 ? meant.find(static_cast<char>(c)) : std::string_view::npos;
        which != std::string_view::npos) {
      text += '\\';
      text += names[which];
    } else if (c < 0x20 || (ensure_ascii && c > 0x7e && c < 0x10000)) {
      if (c == 0x7f) {
        text += '\x7f';
      } else {
        text += fmt::format("\\u{:04x}", c);
      }
    } else if (ensure_ascii && c >= 0x10000) {
      text += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
    } else {
      text += string.substr(at, unit.size);
    }
    at += unit.size;
  }
  text += '"';
}

std::string json_number(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
  return python_float(number);
}

/// A key as the text that JSON wants.
std::string json_key(const Value& key) {
  switch (key.kind()) {
    case Kind::string: return std::string(key.text());
    case Kind::none: return "null";
    case Kind::boolean: return key.boolean() ? "true" : "false";
    case Kind::integer: return std::to_string(key.integer());
    case Kind::large_integer: return std::string(key.text());
    case Kind::real: return json_number(key.number());
    default: throw Fault(fmt::format("keys must be str, int, float, bool or None, not {}", type_name(key)));
  }
}

/// `begin` and `end` around parts with separators between them, each in its own line where the layout says so.
template <typename Append>
void append_json_parts(Heap& heap, std::string& text, size_t count, const JsonLayout& layout, int depth, char begin,
                       char end, const Append& append) {
  const auto new_line = [&](int level) {
    text += '\n';
    for (int i = 0; i < level; ++i) {
      heap.step();
      heap.check_string(text.size() + layout.indent->size());
      text += *layout.indent;
    }
  };
  text += begin;
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) text += layout.item_separator;
    if (layout.indent) new_line(depth + 1);
    append(i);
  }
  if (layout.indent && count > 0) new_line(depth);
  text += end;
}

}  // namespace

void append_text(Heap& heap, std::string& text, const Value& value) {
  if (value.is_string()) {
    heap.step_bytes(value.text().size());
    heap.check_string(text.size() + value.text().size());
    text += value.text();
  } else if (!value.is_undefined()) {
    append_repr(heap, text, value);
  }
}

std::string_view text_of(Heap& heap, const Value& value) {
  if (value.is_string()) return value.text();
  std::string text;
  append_text(heap, text, value);
  return heap.keep(text);
}

Value escaped(Heap& heap, const Value& value) {
  if (value.is_markup()) return value;
  std::string text;
  const std::string_view plain = text_of(heap, value);
  heap.step_bytes(plain.size());
  for (const char c : plain) {
    switch (c) {
      case '&': text += "&amp;"; break;
      case '<': text += "&lt;"; break;
      case '>': text += "&gt;"; break;
      case '"': text += "&#34;"; break;
      case '\'': text += "&#39;"; break;
      default: text += c;
    }
  }
  return Value::string(heap.keep(text)).with_markup(true);
}

void append_repr(Heap& heap, std::string& text, const Value& value, int depth) {
  check(heap, text, depth);
  switch (value.kind()) {
    case Kind::undefined: text += "Undefined"; break;
    case Kind::none: text += "None"; break;
    case Kind::boolean: text += value.boolean() ? "True" : "False"; break;
    case Kind::integer: text += std::to_string(value.integer()); break;
    case Kind::large_integer: text += value.text(); break;
    case Kind::real: text += python_float(value.number()); break;
    case Kind::string:
      heap.step_bytes(value.text().size());
      heap.check_string(text.size() + value.text().size());
      text += value.is_markup() ? fmt::format("Markup({})", python_quoted(value.text())) : python_quoted(value.text());
      break;
    case Kind::list:
      text += '[';
      append_items(heap, text, value.list(), depth);
      text += ']';
      break;
    case Kind::tuple:
      text += '(';
      append_items(heap, text, value.list(), depth);
      text += value.list().items.size() == 1 ? ",)" : ")";
      break;
    case Kind::view:
      text += fmt::format("{}([", type_name(value));
      append_items(heap, text, value.list(), depth);
      text += "])";
      break;
    case Kind::dict: append_dict(heap, text, value.dict(), depth); break;
    case Kind::name_space:
      text += "<Namespace ";
      append_dict(heap, text, value.dict(), depth);
      text += '>';
      break;
    case Kind::range: {
      const Range& range = value.range();
      text += fmt::format("range({}, {}", range.start, range.stop);
      text += range.step == 1 ? ")" : fmt::format(", {})", range.step);
      break;
    }
    case Kind::function: text += fmt::format("<function {}>", name_of(value.function())); break;
    case Kind::method: text += fmt::format("<built-in method {}>", value.method().name); break;
    default: text += fmt::format("<{} object>", type_name(value));
  }
}

void append_json(Heap& heap, std::string& text, const Value& value, const JsonLayout& layout, int depth) {
  check(heap, text, depth);
  switch (value.kind()) {
    case Kind::none: text += "null"; break;
    case Kind::boolean: text += value.boolean() ? "true" : "false"; break;
    case Kind::integer: text += std::to_string(value.integer()); break;
    case Kind::large_integer: text += value.text(); break;
    case Kind::real: text += json_number(value.number()); break;
    case Kind::string:
      heap.step_bytes(value.text().size());
      heap.check_string(text.size() + value.text().size());
      append_json_string(text, value.text(), layout.ensure_ascii);
      break;
    case Kind::list:
    case Kind::tuple: {
      const auto& items = value.list().items;
      append_json_parts(heap, text, items.size(), layout, depth, '[', ']',
                        [&](size_t i) { append_json(heap, text, items[i], layout, depth + 1); });
      break;
    }
    case Kind::dict: {
      std::vector<Dict::Entry> entries(value.dict().entries.begin(), value.dict().entries.end());
      if (layout.sort_keys) {
        heap.step(static_cast<int64_t>(entries.size()) * 16);
        std::stable_sort(entries.begin(), entries.end(),
                         [&](const Dict::Entry& a, const Dict::Entry& b) { return compare(heap, a.key, b.key) < 0; });
      }
      append_json_parts(heap, text, entries.size(), layout, depth, '{', '}', [&](size_t i) {
        append_json_string(text, json_key(entries[i].key), layout.ensure_ascii);
        text += layout.key_separator;
        append_json(heap, text, entries[i].value, layout, depth + 1);
      });
      break;
    }
    case Kind::iterator:  // a list, as the templates mean it that were not written for Python
      append_json(heap, text, Value::list(collect(heap, value)), layout, depth);
      break;
    default: throw Fault(fmt::format("Object of type {} is not JSON serializable", type_name(value)));
  }
}

}  // namespace incipit::jinja
