// What may follow `is`.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "jinja/interpreter.h"
#include "jinja/print.h"
#include "jinja/python_case.h"

namespace incipit::jinja {
namespace {

using One = bool (*)(const Value&);
using Two = bool (*)(Heap&, const Value&, const Value&);

constexpr std::pair<std::string_view, One> plain_tests[] = {
    {"defined", [](const Value& v) { return !v.is_undefined(); }},
    {"undefined", [](const Value& v) { return v.is_undefined(); }},
    {"none", [](const Value& v) { return v.is(Kind::none); }},
    {"boolean", [](const Value& v) { return v.is(Kind::boolean); }},
    {"true", [](const Value& v) { return v.is(Kind::boolean) && v.boolean(); }},
    {"false", [](const Value& v) { return v.is(Kind::boolean) && !v.boolean(); }},
    {"integer", [](const Value& v) { return v.is(Kind::integer) || v.is(Kind::large_integer); }},
    {"float", [](const Value& v) { return v.is(Kind::real); }},
    {"number", [](const Value& v) { return v.is_number() || v.is(Kind::large_integer); }},
    {"string", [](const Value& v) { return v.is_string(); }},
    {"mapping", [](const Value& v) { return v.is(Kind::dict); }},
    {"iterable", [](const Value& v) { return can_iterate(v) || v.is(Kind::loop); }},
    {"sequence",
     [](const Value& v) {
       return v.is_undefined() || v.is_string() || v.is(Kind::list) || v.is(Kind::tuple) || v.is(Kind::range) ||
              v.is(Kind::dict);
     }},
    {"callable",
     [](const Value& v) {
       return v.is(Kind::function) || v.is(Kind::method) || v.is(Kind::macro) || v.is(Kind::joiner) || v.is(Kind::loop);
     }},
    {"escaped", [](const Value& v) { return v.is_markup(); }},
    {"filter", [](const Value& v) { return v.is_string() && is_filter(v.text()); }},
    {"test", [](const Value& v) { return v.is_string() && is_test(v.text()); }},
};

template <Operator which>
bool related(Heap& heap, const Value& left, const Value& right) {
  return holds(heap, which, left, right);
}

constexpr std::pair<std::string_view, Two> relations[] = {
    {"eq", related<Operator::equal>},
    {"equalto", related<Operator::equal>},
    {"==", related<Operator::equal>},
    {"ne", related<Operator::not_equal>},
    {"!=", related<Operator::not_equal>},
    {"lt", related<Operator::less>},
    {"lessthan", related<Operator::less>},
    {"<", related<Operator::less>},
    {"le", related<Operator::less_equal>},
    {"<=", related<Operator::less_equal>},
    {"gt", related<Operator::greater>},
    {"greaterthan", related<Operator::greater>},
    {">", related<Operator::greater>},
    {"ge", related<Operator::greater_equal>},
    {">=", related<Operator::greater_equal>},
    {"in", related<Operator::in>},
    {"sameas", [](Heap&, const Value& left, const Value& right) { return identical(left, right); }},
};

bool leaves(Heap& heap, const Value& value, const Value& divisor, int64_t rest) {
  return equal(heap, apply(heap, Operator::modulo, value, divisor), Value::integer(rest));
}

}  // namespace

bool is_test(std::string_view name) {
  for (const auto& [known, test] : plain_tests) {
    if (known == name) return true;
  }
  for (const auto& [known, test] : relations) {
    if (known == name) return true;
  }
  constexpr std::string_view others[] = {"odd", "even", "divisibleby", "lower", "upper"};
  return std::find(std::begin(others), std::end(others), name) != std::end(others);
}

bool apply_test(Interpreter& interpreter, std::string_view name, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  for (const auto& [known, test] : plain_tests) {
    if (known != name) continue;
    expect_no_arguments(arguments, name);
    return test(input);
  }
  if (name == "lower" || name == "upper") {
    expect_no_arguments(arguments, name);
    const std::string_view text = text_of(heap, input);
    return name == "lower" ? is_lower(text) : is_upper(text);
  }
  if (name == "odd" || name == "even") {
    expect_no_arguments(arguments, name);
    return leaves(heap, input, Value::integer(2), name == "odd" ? 1 : 0);
  }
  if (!is_test(name)) throw Fault(fmt::format("No test named '{}'.", name));
  const auto [other] = match_arguments(arguments, name, std::array<std::string_view, 1>{"other"}, 1);
  for (const auto& [known, test] : relations) {
    if (known == name) return test(heap, input, *other);
  }
  return leaves(heap, input, *other, 0);
}

}  // namespace incipit::jinja
