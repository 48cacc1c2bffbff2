// What Python's str knows of characters and their cases. Source: Unicode 14, as Python has it (character_tables.inc).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace incipit::jinja {

// Full mappings, in which one character may become three, and a sigma knows whether its word ends.
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string case_fold(std::string_view text);
std::string swap_case(std::string_view text);
/// The first character in its title case, the others lower.
std::string capitalize(std::string_view text);
/// str.title: the first letter of every run of letters.
std::string title(std::string_view text);
/// Jinja's filter: what follows white space, hyphens and opening brackets.
std::string title_words(std::string_view text);

bool is_upper(std::string_view text);
bool is_lower(std::string_view text);
/// str.istitle.
bool is_title(std::string_view text);

bool is_alphabetic(uint32_t code_point);
/// A letter, a digit or another sign of a number: str.isalnum.
bool is_alphanumeric(uint32_t code_point);
bool is_digit(uint32_t code_point);
bool is_numeric(uint32_t code_point);
bool is_printable(uint32_t code_point);
/// What a decimal digit of any script stands for; nothing for other characters.
std::optional<uint32_t> decimal_value(uint32_t code_point);
inline bool is_decimal(uint32_t code_point) { return decimal_value(code_point).has_value(); }

}  // namespace incipit::jinja
