// Oniguruma's classes of characters, as PCRE2 writes their members between brackets.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace incipit::oniguruma {

// Unicode's White_Space, which PCRE2's \s exceeds by U+180E.
inline constexpr std::string_view spaces =
    R"(\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
// Oniguruma's word characters, and those that it takes for such outside of classes only.
inline constexpr std::string_view words = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
inline constexpr std::string_view more_words = R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";
inline constexpr std::string_view hexadecimals = "0-9A-Fa-f";

/// What a POSIX bracket of that name holds; nothing for other names.
std::optional<std::string_view> members_of_name(std::string_view name);
/// What a property (between the braces of \p) holds; nothing where the text cannot be a property's name.
std::optional<std::string> members_of_property(std::string_view text);

}  // namespace incipit::oniguruma
