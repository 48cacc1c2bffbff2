#include "jinja/functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <string>

#include "jinja/interpreter.h"
#include "jinja/operators.h"
#include "jinja/print.h"

namespace incipit::jinja {
namespace {

constexpr std::string_view names[] = {"range",        "dict",   "namespace", "raise_exception",
                                      "strftime_now", "cycler", "joiner"};
constexpr int64_t longest_range = 100000;  // as Jinja's sandbox has it

Value make_range(Heap& heap, const Arguments& arguments) {
  if (!arguments.keywords.empty()) throw Fault("range() takes no keyword arguments");
  const size_t count = arguments.positional.size();
  if (count == 0 || count > 3) throw Fault(fmt::format("range() takes 1 to 3 arguments, not {}", count));
  std::array<int64_t, 3> values{};
  for (size_t i = 0; i < count; ++i) values[i] = integer_argument(arguments.positional[i], "range");
  Range range{0, values[0], 1};
  if (count > 1) range = {values[0], values[1], count == 3 ? values[2] : 1};
  if (range.step == 0) throw Fault("range() arg 3 must not be zero");
  if (range.size() < 0 || range.size() > longest_range) {
    throw Fault(fmt::format("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({})", longest_range));
  }
  return Value::range(heap.make<Range>(range));
}

/// dict(mapping or pairs, name=value …).
Dict* make_dict(Heap& heap, const Arguments& arguments, std::string_view function) {
  if (arguments.positional.size() > 1) throw Fault(fmt::format("{}() takes at most 1 argument", function));
  Dict* const dict = heap.make<Dict>(heap);
  if (!arguments.positional.empty()) update_dict(heap, *dict, arguments.positional.front());
  for (const auto& [name, value] : arguments.keywords) dict->set(heap, Value::string(name), value);
  return dict;
}

/// A format in which only what the C library knows is left to be written: Python tells microseconds, and of a time
/// without a zone no zone.
std::string python_directives(std::string_view format, const LocalTime& now) {
  std::string pattern;
  for (size_t at = 0; at < format.size();) {
    const std::string_view rest = format.substr(at);
    if (rest.starts_with("%f")) {
      pattern += fmt::format("{:06}", now.microseconds);
      at += 2;
    } else if (rest.starts_with("%z") || rest.starts_with("%Z")) {
      at += 2;
    } else if (rest.starts_with("%:z")) {
      at += 3;
    } else {
      const size_t size = rest[0] == '%' ? std::min<size_t>(2, rest.size()) : 1;
      pattern += rest.substr(0, size);
      at += size;
    }
  }
  return pattern;
}

Value strftime_now(Interpreter& interpreter, const Arguments& arguments) {
  const auto [format] = match_arguments(arguments, "strftime_now", std::array<std::string_view, 1>{"format"}, 1);
  const std::string_view written = text_argument(*format, "strftime_now");
  constexpr size_t longest = 1000;
  if (written.size() > longest || written.find('\0') != std::string_view::npos) {
    throw Fault("strftime_now() needs a short format");
  }
  const LocalTime now = interpreter.now();
  std::string pattern = python_directives(written, now);
  pattern += '.';  // never empty, so that no characters mean no room
  std::array<char, 64 * 1024> room;
  const size_t size = std::strftime(room.data(), room.size(), pattern.c_str(), &now.calendar);
  if (size == 0) throw Fault("strftime_now()'s format makes too long a text");
  return Value::string(interpreter.heap().keep({room.data(), size - 1}));
}

}  // namespace

std::string_view name_of(Function function) { return names[static_cast<size_t>(function)]; }

std::optional<Value> find_function(std::string_view name) {
  for (size_t i = 0; i < std::size(names); ++i) {
    if (names[i] == name) return Value::function(static_cast<Function>(i));
  }
  return std::nullopt;
}

Value call_function(Interpreter& interpreter, Function function, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  switch (function) {
    case Function::range: return make_range(heap, arguments);
    case Function::dict: return Value::dict(make_dict(heap, arguments, "dict"));
    case Function::name_space: return Value::name_space(make_dict(heap, arguments, "namespace"));
    case Function::raise_exception: {
      const auto [message] =
          match_arguments(arguments, "raise_exception", std::array<std::string_view, 1>{"message"}, 1);
      throw Fault(fmt::format("the template refuses: {}", text_of(heap, *message)));
    }
    case Function::strftime_now: return strftime_now(interpreter, arguments);
    case Function::cycler: {
      if (arguments.positional.empty() || !arguments.keywords.empty()) throw Fault("cycler() needs items");
      List* const items = heap.make<List>(heap);
      for (const Value& item : arguments.positional) items->add(heap, item);
      return Value::cycler(heap.make<Cycler>(Cycler{items}));
    }
    case Function::joiner: {
      const auto [separator] = match_arguments(arguments, "joiner", std::array<std::string_view, 1>{"sep"});
      return Value::joiner(heap.make<Joiner>(Joiner{separator.value_or(Value::string(", "))}));
    }
  }
  throw Fault("it is not callable");
}

}  // namespace incipit::jinja
