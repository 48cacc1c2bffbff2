// The tables of filters.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "jinja/interpreter.h"

namespace incipit::jinja {

struct Filter {
  std::string_view name;
  Value (*apply)(Interpreter&, const Value& input, const Arguments&);
};

/// Of texts and numbers.
std::span<const Filter> text_filters();
/// Of lists, dicts and whatever can be iterated over.
std::span<const Filter> sequence_filters();

/// What `attribute="a.b.0"` means: the attribute (or item) of an attribute of each item. `otherwise`, if it is given
/// and not none, stands for what one of them lacks.
Value reach(Interpreter& interpreter, const Value& value, const Value& path,
            const std::optional<Value>& otherwise = std::nullopt);

}  // namespace incipit::jinja
