#include "base/utf8.h"

#include <fmt/format.h>

#include <cstring>

#include "base/error.h"

namespace incipit {
namespace {

uint8_t byte_at(std::string_view text, size_t position) { return static_cast<uint8_t>(text[position]); }

bool is_continuation(uint8_t byte) { return (byte & 0xc0) == 0x80; }

}  // namespace

Utf8Unit utf8_unit_at(std::string_view text, size_t position) {
  using Kind = Utf8Unit::Kind;
  constexpr uint32_t replacement = 0xfffd;
  const uint8_t lead = byte_at(text, position);
  if (lead < 0x80) return {lead, 1, Kind::character};
  if (lead < 0xc2 || lead > 0xf4) return {replacement, 1, Kind::broken};
  const uint8_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // The second byte's range also rules out overlong forms, surrogates and what lies beyond U+10FFFF.
  const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  uint32_t code_point = lead & (0x7f >> size);
  for (uint8_t i = 1; i < size; ++i) {
    if (position + i >= text.size()) return {replacement, i, Kind::cut_off};
    const uint8_t byte = byte_at(text, position + i);
    const bool good = i == 1 ? byte >= low && byte <= high : is_continuation(byte);
    if (!good) return {replacement, i, Kind::broken};
    code_point = code_point << 6 | (byte & 0x3f);
  }
  return {code_point, size, Kind::character};
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t position = 0;
  while (position < text.size()) {
    if (position + 8 <= text.size()) {
      uint64_t word;
      std::memcpy(&word, text.data() + position, 8);
      if ((word & 0x8080808080808080u) == 0) {
        position += 8;
        continue;
      }
    }
    const Utf8Unit unit = utf8_unit_at(text, position);
    if (unit.kind != Utf8Unit::Kind::character) return position;
    position += unit.size;
  }
  return position;
}

void check_utf8(std::string_view text, const std::string& thing) {
  const size_t valid = valid_utf8_prefix(text);
  if (valid != text.size()) throw Error(thing, fmt::format("is not UTF-8 at byte {}", valid + 1), "give UTF-8 text");
}

bool is_one_character(std::string_view text) {
  if (text.empty()) return false;
  const Utf8Unit unit = utf8_unit_at(text, 0);
  return unit.kind == Utf8Unit::Kind::character && unit.size == text.size();
}

void append_utf8(std::string& text, uint32_t code_point) {
  const auto put = [&](uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | code_point >> 6);
    put(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    put(0xe0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  } else {
    put(0xf0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3f));
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  }
}

size_t append_lossy_utf8(std::string& text, std::string_view bytes, bool last) {
  size_t position = 0;
  while (position < bytes.size()) {
    const size_t valid = valid_utf8_prefix(bytes.substr(position));
    text.append(bytes.substr(position, valid));
    position += valid;
    if (position == bytes.size()) break;
    const Utf8Unit unit = utf8_unit_at(bytes, position);
    if (unit.kind == Utf8Unit::Kind::cut_off && !last) break;
    append_utf8(text, unit.code_point);
    position += unit.size;
  }
  return position;
}

uint32_t code_point_before(std::string_view text, size_t position) {
  if (position == 0) return 0;
  size_t start = position - 1;
  while (start > 0 && position - start < 4 && is_continuation(byte_at(text, start))) --start;
  const Utf8Unit unit = utf8_unit_at(text.substr(0, position), start);
  return start + unit.size == position ? unit.code_point : 0xfffd;
}

bool is_white_space(uint32_t code_point) {
  return (code_point >= 0x09 && code_point <= 0x0d) || code_point == 0x20 || code_point == 0x85 || code_point == 0xa0 ||
         code_point == 0x1680 || (code_point >= 0x2000 && code_point <= 0x200a) || code_point == 0x2028 ||
         code_point == 0x2029 || code_point == 0x202f || code_point == 0x205f || code_point == 0x3000;
}

}  // namespace incipit
