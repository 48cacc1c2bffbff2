// UTF-8: validity, code points, and the lossy reading of broken bytes.
// Source: Unicode 15, table 3-7 (well-formed sequences) and section 3.9 (one U+FFFD for each maximal subpart).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace incipit {

/// What lies at one position of a text.
struct Utf8Unit {
  enum class Kind : uint8_t { character, broken, cut_off };
  /// The character; U+FFFD unless `kind` is `character`.
  uint32_t code_point;
  /// Bytes it takes: a character's, or the maximal subpart of a broken one; at least 1.
  uint8_t size;
  /// `cut_off`: the text ends within what may still become a character.
  Kind kind;
};

/// Reads the unit at `position`, which must be below text.size().
Utf8Unit utf8_unit_at(std::string_view text, size_t position);

/// Bytes of the longest prefix that is well-formed UTF-8.
size_t valid_utf8_prefix(std::string_view text);

/// Throws Error that names `thing` and the first byte that belongs to no character.
void check_utf8(std::string_view text, const std::string& thing);

/// Whether `text` is one well-formed character.
bool is_one_character(std::string_view text);

/// `code_point` must be a scalar value (no surrogate, at most 0x10FFFF).
void append_utf8(std::string& text, uint32_t code_point);

/// Appends `bytes` with every broken part replaced by U+FFFD. A cut-off character at the end is left alone unless
/// `last`, when it becomes U+FFFD too. Returns how many bytes were used up.
size_t append_lossy_utf8(std::string& text, std::string_view bytes, bool last);

/// The character that ends just before `position`: 0 at the beginning, U+FFFD where the bytes are broken.
uint32_t code_point_before(std::string_view text, size_t position);

/// Unicode's White_Space property.
bool is_white_space(uint32_t code_point);

}  // namespace incipit
