// What Python does with texts. All texts are valid UTF-8; positions are counted in characters (code points).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace incipit::jinja {

size_t count_characters(std::string_view text);
/// The byte at which character `position` begins; the text's end for any position beyond.
size_t byte_of_character(std::string_view text, size_t position);

/// str.isspace of one character.
bool is_python_space(uint32_t code_point);

enum class StripSide : uint8_t { left, right, both };
/// Without `characters` at the ends; of white space when there are none given.
std::string_view strip(std::string_view text, std::optional<std::string_view> characters, StripSide side);

/// str.split without a separator: runs of white space part, and none are empty. `most` parts are split off; -1: all.
std::vector<std::string_view> split_at_space(std::string_view text, int64_t most);
/// The same from the right.
std::vector<std::string_view> split_at_space_from_right(std::string_view text, int64_t most);
/// str.splitlines. Beyond `most` lines the rest is one.
std::vector<std::string_view> split_lines(std::string_view text, size_t most, bool keep_ends = false);

bool all_characters(std::string_view text, const std::function<bool(uint32_t)>& holds);

/// repr() of a str.
std::string python_quoted(std::string_view text);
/// repr() of a float: the shortest text that reads back as it.
std::string python_float(double number);

/// Python's int(text, base) and float(text); nothing when it is no number, or an integer beyond 64 bits.
std::optional<int64_t> parse_python_integer(std::string_view text, int64_t base);
/// The digits of a decimal integer beyond 64 bits, as Python writes them; nothing for any other text.
std::optional<std::string> large_decimal(std::string_view text);
std::optional<double> parse_python_float(std::string_view text);

}  // namespace incipit::jinja
