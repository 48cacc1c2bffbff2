#include "primitives/value_type.h"

namespace incipit {

ValueType ValueType::cache() {
  ValueType type;
  type.is_cache = true;
  return type;
}

ValueType ValueType::absent() {
  ValueType type;
  type.is_absent = true;
  return type;
}

std::string ValueType::text() const {
  if (is_cache) return "cache";
  if (is_absent) return "_";
  std::string text(name_of(dtype));
  text += '[';
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += shape[i].text();
  }
  text += ']';
  return text;
}

std::optional<std::vector<int64_t>> known_integers(const ValueType& type) {
  if (!type.contents) return std::nullopt;
  std::vector<int64_t> numbers;
  for (const Dim& dim : *type.contents) {
    const std::optional<int64_t> number = dim.try_constant();
    if (!number) return std::nullopt;
    numbers.push_back(*number);
  }
  return numbers;
}

}  // namespace incipit
