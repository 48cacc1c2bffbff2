// The alphabet in which byte-level vocabularies are written: each of the 256 bytes as one printable character.
// Source: GPT-2's bytes_to_unicode (github.com/openai/gpt-2, encoder.py).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace incipit {

/// The character that stands for `byte` (a code point below 0x144).
uint32_t byte_symbol(uint8_t byte);

/// The bytes that `symbols` stands for; nothing when a character of it is not of the alphabet.
std::optional<std::string> bytes_of_symbols(std::string_view symbols);

}  // namespace incipit
