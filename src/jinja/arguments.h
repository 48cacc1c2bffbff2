// The arguments of a call, and which parameters they are for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/value.h"

namespace incipit::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> keywords;
};

/// Fills `values` (one for each of `names`) as Python does. Throws Fault when one of the first `required` is missing,
/// there are too many, or a name is not known. `function` is named in messages.
void match_to_names(const Arguments& arguments, std::string_view function, const std::string_view* names,
                    std::optional<Value>* values, size_t count, size_t required);

template <size_t N>
std::array<std::optional<Value>, N> match_arguments(const Arguments& arguments, std::string_view function,
                                                    const std::array<std::string_view, N>& names, size_t required = 0) {
  std::array<std::optional<Value>, N> values;
  match_to_names(arguments, function, names.data(), values.data(), N, required);
  return values;
}

/// Throws Fault when there are any.
void expect_no_arguments(const Arguments& arguments, std::string_view function);

/// An argument that must be of this type; throws Fault naming the function otherwise.
int64_t integer_argument(const Value& value, std::string_view function);
std::string_view text_argument(const Value& value, std::string_view function);

}  // namespace incipit::jinja
