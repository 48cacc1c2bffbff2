#include "jinja/arguments.h"

#include <fmt/format.h>

namespace incipit::jinja {

void match_to_names(const Arguments& arguments, std::string_view function, const std::string_view* names,
                    std::optional<Value>* values, size_t count, size_t required) {
  if (arguments.positional.size() > count) {
    throw Fault(fmt::format("{}() takes at most {} arguments, not {}", function, count, arguments.positional.size()));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) values[i] = arguments.positional[i];
  for (const auto& [name, value] : arguments.keywords) {
    size_t at = 0;
    while (at < count && names[at] != name) ++at;
    if (at == count) throw Fault(fmt::format("{}() has no argument '{}'", function, name));
    if (values[at]) throw Fault(fmt::format("{}() is given its argument '{}' twice", function, name));
    values[at] = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!values[i]) throw Fault(fmt::format("{}() needs its argument '{}'", function, names[i]));
  }
}

void expect_no_arguments(const Arguments& arguments, std::string_view function) {
  if (!arguments.positional.empty() || !arguments.keywords.empty()) {
    throw Fault(fmt::format("{}() takes no arguments", function));
  }
}

int64_t integer_argument(const Value& value, std::string_view function) {
  require_defined(value);
  if (!value.is_integral()) throw Fault(fmt::format("{}() needs an integer, not '{}'", function, type_name(value)));
  return value.integer();
}

std::string_view text_argument(const Value& value, std::string_view function) {
  require_defined(value);
  if (!value.is_string()) throw Fault(fmt::format("{}() needs a str, not '{}'", function, type_name(value)));
  return value.text();
}

}  // namespace incipit::jinja
