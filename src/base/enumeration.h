// Enumerations whose values have names: in texts, plans and messages they stand by these.
#pragma once

#include <concepts>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace incipit {

/// An enumeration with a table of names beside it:
///   enum class Shade : uint8_t { light, dark };
///   constexpr std::array<std::string_view, 2> shade_names{"light", "dark"};
///   constexpr const auto& enumeration_names(Shade) { return shade_names; }
/// Its values count from 0, in the order of the names.
template <typename E>
concept Enumeration = std::is_enum_v<E> && requires(E e) {
  {std::span<const std::string_view>(enumeration_names(e))};
};

template <Enumeration E>
constexpr std::string_view name_of(E value) {
  return enumeration_names(value)[static_cast<size_t>(value)];
}

/// The place of a word among words.
constexpr std::optional<size_t> find_word(std::span<const std::string_view> words, std::string_view word) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == word) return i;
  }
  return std::nullopt;
}

/// The value of that name.
template <Enumeration E>
constexpr std::optional<E> find_value(std::string_view name) {
  const std::optional<size_t> found = find_word(enumeration_names(E{}), name);
  return found ? std::optional(static_cast<E>(*found)) : std::nullopt;
}

}  // namespace incipit
