// Filters of texts and numbers, and the way to all filters.
#include "jinja/filters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "jinja/print.h"
#include "jinja/python_case.h"
#include "jinja/python_format.h"
#include "jinja/python_text.h"

namespace incipit::jinja {
namespace {

using Names1 = std::array<std::string_view, 1>;
using Names2 = std::array<std::string_view, 2>;
using Names3 = std::array<std::string_view, 3>;

Value kept(Interpreter& interpreter, const std::string& text) { return Value::string(interpreter.heap().keep(text)); }

constexpr size_t mapping_cost = 8;  // of a character's case, in those of copying

template <std::string (*change)(std::string_view)>
Value changed(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "filter");
  const std::string_view text = text_of(interpreter.heap(), input);
  interpreter.heap().step_bytes(mapping_cost * text.size());
  return kept(interpreter, change(text));
}

Value absolute(Interpreter&, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "abs");
  require_defined(input);
  if (input.is(Kind::large_integer)) {
    return Value::large_integer(input.text().substr(input.text().front() == '-' ? 1 : 0));
  }
  if (!input.is_number()) throw Fault(fmt::format("bad operand type for abs(): '{}'", type_name(input)));
  if (input.is(Kind::real)) return Value::real(std::fabs(input.number()));
  return input.integer() < 0 ? negative(input) : Value::integer(input.integer());
}

Value attribute(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const auto [name] = match_arguments(arguments, "attr", Names1{"name"}, 1);
  // Attributes alone, as the filter is meant: what a dict holds under the name is none.
  if (input.is(Kind::dict) && !has_method(Kind::dict, text_argument(*name, "attr"))) {
    return Value::missing(input, name->text());
  }
  return interpreter.attribute(input, text_argument(*name, "attr"));
}

Value center(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const auto [width] = match_arguments(arguments, "center", Names1{"width"});
  return call_string_method(interpreter, "center", text_of(interpreter.heap(), input),
                            {{width.value_or(Value::integer(80))}, {}});
}

Value default_value(Interpreter&, const Value& input, const Arguments& arguments) {
  const auto [otherwise, falsy] = match_arguments(arguments, "default", Names2{"default_value", "boolean"});
  const bool replaces = input.is_undefined() || (falsy && truth(*falsy) && !truth(input));
  return replaces ? otherwise.value_or(Value::string({})) : input;
}

Value escape(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "escape");
  return escaped(interpreter.heap(), input);
}

Value force_escape(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "forceescape");
  return escaped(interpreter.heap(), Value::string(text_of(interpreter.heap(), input)));
}

Value to_float(Interpreter&, const Value& input, const Arguments& arguments) {
  const auto [otherwise] = match_arguments(arguments, "float", Names1{"default"});
  require_defined(input);
  if (input.is_number() || input.is(Kind::large_integer)) return Value::real(float_of(input));
  if (input.is_string()) {
    if (const auto number = parse_python_float(input.text())) return Value::real(*number);
  }
  return otherwise.value_or(Value::real(0));
}

Value to_int(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const auto [otherwise, base] = match_arguments(arguments, "int", Names2{"default", "base"});
  require_defined(input);
  std::optional<double> real;
  if (input.is_integral()) return Value::integer(input.integer());
  if (input.is(Kind::large_integer)) return input;
  if (input.is(Kind::real)) real = input.number();
  Heap& heap = interpreter.heap();
  if (input.is_string()) {
    const int64_t radix = base ? integer_argument(*base, "int") : 10;
    if (const auto number = parse_python_integer(input.text(), radix)) return Value::integer(*number);
    if (const auto digits = radix == 10 ? large_decimal(input.text()) : std::nullopt) {
      return Value::large_integer(heap.keep(*digits));
    }
    real = parse_python_float(input.text());
  }
  if (input.is(Kind::real) && std::isinf(*real)) throw Fault("cannot convert float infinity to integer");
  if (!real || !std::isfinite(*real)) return otherwise.value_or(Value::integer(0));
  if (std::fabs(*real) < 0x1p63) return Value::integer(static_cast<int64_t>(*real));
  return Value::large_integer(heap.keep(fmt::format("{:.0f}", *real)));
}

Value format(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  if (!arguments.positional.empty() && !arguments.keywords.empty()) {
    throw Fault("can't handle positional and keyword arguments at the same time");
  }
  if (!arguments.keywords.empty()) {
    Dict* const dict = heap.make<Dict>(heap);
    for (const auto& [name, value] : arguments.keywords) dict->set(heap, Value::string(name), value);
    return percent_format(heap, text_of(heap, input), Value::dict(dict));
  }
  List* const list = heap.make<List>(heap);
  for (const Value& value : arguments.positional) list->add(heap, value);
  return percent_format(heap, text_of(heap, input), Value::tuple(list));
}

/// Spaces, or the text itself.
std::string indentation(Heap& heap, const Value& width, std::string_view filter) {
  if (width.is_string()) return std::string(width.text());
  const int64_t count = std::max<int64_t>(0, integer_argument(width, filter));
  heap.check_string(static_cast<size_t>(count));
  return std::string(static_cast<size_t>(count), ' ');
}

Value indent(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const auto [width, first, blank] = match_arguments(arguments, "indent", Names3{"width", "first", "blank"});
  const std::string_view text = text_argument(input, "indent");
  const std::string space = indentation(heap, width.value_or(Value::integer(4)), "indent");
  const bool blank_too = blank && truth(*blank);
  heap.step_bytes(text.size());
  // As splitlines of the text and one more line's end: the last line may be empty.
  std::vector<std::string_view> lines = split_lines(text, heap.limits().items);
  if (text.empty() || text.back() == '\n') lines.emplace_back();
  heap.check_items(lines.size());
  std::string result = first && truth(*first) ? space : std::string();
  for (size_t i = 0; i < lines.size(); ++i) {
    heap.check_string(result.size() + space.size() + lines[i].size());
    if (i > 0) {
      result += '\n';
      if (blank_too || !lines[i].empty()) result += space;
    }
    result += lines[i];
  }
  return kept(interpreter, result);
}

Value replace(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const auto [old, fresh, most] = match_arguments(arguments, "replace", Names3{"old", "new", "count"}, 2);
  const bool all = !most || most->is(Kind::none);
  return replaced(heap, text_of(heap, input), text_of(heap, *old), text_of(heap, *fresh),
                  all ? -1 : integer_argument(*most, "replace"));
}

Value round(Interpreter&, const Value& input, const Arguments& arguments) {
  const auto [precision, method] = match_arguments(arguments, "round", Names2{"precision", "method"});
  const std::string_view how = method ? text_argument(*method, "round") : "common";
  if (how != "common" && how != "ceil" && how != "floor") throw Fault("method must be common, ceil or floor");
  require_defined(input);
  if (input.is(Kind::large_integer) && how == "common" && (!precision || integer_argument(*precision, "round") >= 0)) {
    return input;
  }
  if (!input.is_number()) throw Fault(fmt::format("round() needs a number, not '{}'", type_name(input)));
  const int64_t digits = precision ? integer_argument(*precision, "round") : 0;
  if (how == "common") {
    // Python rounds an int to an int.
    if (input.is_integral() && digits >= 0) return Value::integer(input.integer());
    if (digits > 300 || !std::isfinite(input.number())) return input;
    if (digits < 0) {
      const double scale = std::pow(10.0, static_cast<double>(-digits));
      const double rounded = std::nearbyint(input.number() / scale) * scale;
      return input.is_integral() ? Value::integer(static_cast<int64_t>(rounded)) : Value::real(rounded);
    }
    return Value::real(*parse_python_float(fmt::format("{:.{}f}", input.number(), digits)));
  }
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = input.number() * scale;
  return Value::real((how == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Value safe(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "safe");
  return Value::string(text_of(interpreter.heap(), input)).with_markup(true);
}

Value string(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "string");
  return Value::string(text_of(interpreter.heap(), input)).with_markup(input.is_markup());
}

Value to_json(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const auto [ascii, indent_by, separators, sorted] = match_arguments(
      arguments, "tojson", std::array<std::string_view, 4>{"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonLayout layout;
  layout.ensure_ascii = ascii && truth(*ascii);
  layout.sort_keys = sorted && truth(*sorted);
  if (indent_by && !indent_by->is(Kind::none)) {
    layout.indent = indentation(heap, *indent_by, "tojson");
    layout.item_separator = ",";
  }
  if (separators && !separators->is(Kind::none)) {
    const List& pair = *collect(heap, *separators);
    if (pair.items.size() != 2) throw Fault("tojson() needs two separators");
    layout.item_separator = text_argument(pair.items[0], "tojson");
    layout.key_separator = text_argument(pair.items[1], "tojson");
  }
  std::string text;
  append_json(heap, text, input, layout);
  return kept(interpreter, text);
}

Value trim(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const auto [characters] = match_arguments(arguments, "trim", Names1{"chars"});
  const std::string_view text = text_of(interpreter.heap(), input);
  interpreter.heap().step_bytes(text.size());
  std::optional<std::string_view> set;
  if (characters && !characters->is(Kind::none)) set = text_argument(*characters, "trim");
  return Value::string(strip(text, set, StripSide::both));
}

Value truncate(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const auto [length_argument, kill, end_argument, leeway_argument] =
      match_arguments(arguments, "truncate", std::array<std::string_view, 4>{"length", "killwords", "end", "leeway"});
  const std::string_view text = text_argument(input, "truncate");
  const int64_t most = length_argument ? integer_argument(*length_argument, "truncate") : 255;
  const std::string_view end = end_argument ? text_argument(*end_argument, "truncate") : "...";
  const bool has_leeway = leeway_argument && !leeway_argument->is(Kind::none);
  const int64_t leeway = has_leeway ? integer_argument(*leeway_argument, "truncate") : 5;
  const auto end_size = static_cast<int64_t>(count_characters(end));
  if (most < end_size || leeway < 0) throw Fault("truncate() needs a length that its end fits in");
  if (static_cast<int64_t>(count_characters(text)) - leeway <= most) return Value::string(text);
  std::string_view start = text.substr(0, byte_of_character(text, static_cast<size_t>(most - end_size)));
  if (!kill || !truth(*kill)) start = start.substr(0, start.rfind(' '));
  return kept(interpreter, std::string(start) + std::string(end));
}

Value count_words(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  expect_no_arguments(arguments, "wordcount");
  int64_t words = 0;
  bool inside = false;
  Cursor cursor(Value::string(text_of(interpreter.heap(), input)));
  for (Value character; cursor.next(interpreter.heap(), character);) {
    const bool of_word = character.text() == "_" || all_characters(character.text(), is_alphanumeric);
    words += of_word && !inside ? 1 : 0;
    inside = of_word;
  }
  return Value::integer(words);
}

constexpr Filter plain_filters[] = {
    {"abs", absolute},
    {"attr", attribute},
    {"capitalize", changed<capitalize>},
    {"center", center},
    {"d", default_value},
    {"default", default_value},
    {"e", escape},
    {"escape", escape},
    {"float", to_float},
    {"forceescape", force_escape},
    {"format", format},
    {"indent", indent},
    {"int", to_int},
    {"lower", changed<lower>},
    {"replace", replace},
    {"round", round},
    {"safe", safe},
    {"string", string},
    {"title", changed<title_words>},
    {"tojson", to_json},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", changed<upper>},
    {"wordcount", count_words},
};

const Filter* find_filter(std::string_view name) {
  for (const std::span<const Filter> table : {text_filters(), sequence_filters()}) {
    const auto found = std::find_if(table.begin(), table.end(), [&](const Filter& one) { return one.name == name; });
    if (found != table.end()) return &*found;
  }
  return nullptr;
}

}  // namespace

std::span<const Filter> text_filters() { return plain_filters; }

bool is_filter(std::string_view name) { return find_filter(name) != nullptr; }

Value apply_filter(Interpreter& interpreter, std::string_view name, const Value& input, const Arguments& arguments) {
  const Filter* const filter = find_filter(name);
  if (filter == nullptr) throw Fault(fmt::format("No filter named '{}'.", name));
  const Value result = filter->apply(interpreter, input, arguments);
  constexpr std::string_view keeping[] = {"trim",       "upper",   "lower",  "title",
                                          "capitalize", "replace", "indent", "center"};
  const bool keeps = input.is_markup() && std::find(std::begin(keeping), std::end(keeping), name) != std::end(keeping);
  return keeps ? result.with_markup(true) : result;
}

}  // namespace incipit::jinja
