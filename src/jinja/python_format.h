// Python's two ways to put values into a text.
#pragma once

#include <string_view>

#include "jinja/arguments.h"
#include "jinja/value.h"

namespace incipit::jinja {

/// `format % values`.
Value percent_format(Heap& heap, std::string_view format, const Value& values);
/// `format.format(…)`. Fields are numbers or names, without attributes or items.
Value brace_format(Heap& heap, std::string_view format, const Arguments& arguments);

}  // namespace incipit::jinja
