// What a template can call by name without being given it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "jinja/arguments.h"
#include "jinja/value.h"

namespace incipit::jinja {

class Interpreter;

enum class Function : uint8_t { range, dict, name_space, raise_exception, strftime_now, cycler, joiner };

std::string_view name_of(Function function);
std::optional<Value> find_function(std::string_view name);
Value call_function(Interpreter& interpreter, Function function, const Arguments& arguments);

}  // namespace incipit::jinja
