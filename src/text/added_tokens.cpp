#include "text/added_tokens.h"

#include <algorithm>

#include "base/utf8.h"

namespace incipit {
namespace {

/// Rust's \w (Unicode Technical Standard 18, annex C).
bool is_word_character(uint32_t code_point) {
  if (code_point < 0x80) {
    return code_point == '_' || (code_point >= '0' && code_point <= '9') ||
           ((code_point | 0x20) >= 'a' && (code_point | 0x20) <= 'z');
  }
  static const Regex word(
      R"([\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189}])",
      "word characters");
  std::string text;
  append_utf8(text, code_point);
  return word.find(text, 0).has_value();
}

bool is_whole_word(std::string_view text, TextRange range) {
  const bool word_before = range.begin > 0 && is_word_character(code_point_before(text, range.begin));
  const bool word_after = range.end < text.size() && is_word_character(utf8_unit_at(text, range.end).code_point);
  return !word_before && !word_after;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(const TokenizerTables& tables, std::span<const AddedTokenRecord> records)
    : tables_(tables), records_(records) {
  for (size_t byte = 0; byte < 256; ++byte) {
    size_t at = starts_[byte];
    while (at < records.size() && static_cast<uint8_t>(text_of(records[at])[0]) == byte) ++at;
    starts_[byte + 1] = static_cast<uint32_t>(at);
  }
}

const AddedTokenRecord* AddedTokenFinder::longest_at(std::string_view text) const {
  const uint8_t first = static_cast<uint8_t>(text[0]);
  uint32_t low = starts_[first];
  uint32_t high = starts_[first + 1];
  const AddedTokenRecord* longest = nullptr;
  // [low, high) agree with the text in `depth` bytes; the shortest of them comes first.
  for (size_t depth = 1; low < high; ++depth) {
    if (records_[low].text_size == depth) longest = &records_[low++];
    if (depth >= text.size()) break;
    const uint8_t byte = static_cast<uint8_t>(text[depth]);
    const auto byte_at_depth = [&](const AddedTokenRecord& record) {
      return record.text_size > depth ? static_cast<uint8_t>(text_of(record)[depth]) : -1;
    };
    const auto begin = records_.begin();
    const auto from = std::partition_point(begin + low, begin + high,
                                           [&](const AddedTokenRecord& r) { return byte_at_depth(r) < byte; });
    const auto to =
        std::partition_point(from, begin + high, [&](const AddedTokenRecord& r) { return byte_at_depth(r) <= byte; });
    low = static_cast<uint32_t>(from - begin);
    high = static_cast<uint32_t>(to - begin);
  }
  return longest;
}

const AddedTokenRecord* AddedTokenFinder::find_exact(std::string_view text) const {
  const auto found = std::lower_bound(records_.begin(), records_.end(), text,
                                      [&](const AddedTokenRecord& r, std::string_view t) { return text_of(r) < t; });
  return found != records_.end() && text_of(*found) == text ? &*found : nullptr;
}

std::optional<AddedTokenFinder::Found> AddedTokenFinder::find(std::string_view text, size_t position,
                                                              bool specials) const {
  if (records_.empty()) return std::nullopt;
  const size_t used = position;
  while (position < text.size()) {
    const uint8_t first = static_cast<uint8_t>(text[position]);
    const AddedTokenRecord* record = nullptr;
    if (starts_[first] != starts_[first + 1]) record = longest_at(text.substr(position));
    if (record == nullptr) {
      ++position;
      continue;
    }
    TextRange range{position, position + record->text_size};
    position = range.end;
    if (!specials && (record->flags & AddedTokenRecord::special) != 0) continue;
    if ((record->flags & AddedTokenRecord::single_word) != 0 && !is_whole_word(text, range)) continue;
    if ((record->flags & AddedTokenRecord::strips_left) != 0) {
      while (range.begin > used) {
        const uint32_t before = code_point_before(text, range.begin);
        if (!is_white_space(before)) break;
        range.begin -= before < 0x80 ? 1 : before < 0x800 ? 2 : 3;
      }
      range.begin = std::max(range.begin, used);
    }
    if ((record->flags & AddedTokenRecord::strips_right) != 0) {
      while (range.end < text.size()) {
        const Utf8Unit unit = utf8_unit_at(text, range.end);
        if (!is_white_space(unit.code_point)) break;
        range.end += unit.size;
      }
    }
    return Found{range, record->id};
  }
  return std::nullopt;
}

}  // namespace incipit
