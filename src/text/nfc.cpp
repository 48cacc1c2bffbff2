#include "text/nfc.h"

#include <algorithm>
#include <span>
#include <vector>

#include "base/utf8.h"

namespace incipit {
namespace {

struct Decomposition {
  uint32_t code_point;
  uint32_t first;
  uint32_t second;
  uint32_t composes;
};

struct CombiningRange {
  uint32_t first;
  uint32_t last;
  uint32_t combining_class;
};

#include "text/normalization_tables.inc"

// Hangul syllables, Unicode 15 section 3.12.
constexpr uint32_t syllables = 0xac00, leads = 0x1100, vowels = 0x1161, trails = 0x11a7;
constexpr uint32_t lead_count = 19, vowel_count = 21, trail_count = 28;
constexpr uint32_t syllable_count = lead_count * vowel_count * trail_count;

struct Character {
  uint32_t code_point;
  uint32_t combining_class;
};

uint32_t combining_class_of(uint32_t code_point) {
  const auto* range = std::lower_bound(std::begin(combining_ranges), std::end(combining_ranges), code_point,
                                       [](const CombiningRange& r, uint32_t wanted) { return r.last < wanted; });
  if (range == std::end(combining_ranges) || code_point < range->first) return 0;
  return range->combining_class;
}

void append_decomposed(std::vector<Character>& characters, uint32_t code_point) {
  if (code_point - syllables < syllable_count) {
    const uint32_t syllable = code_point - syllables;
    characters.push_back({leads + syllable / (vowel_count * trail_count), 0});
    characters.push_back({vowels + syllable / trail_count % vowel_count, 0});
    if (syllable % trail_count != 0) characters.push_back({trails + syllable % trail_count, 0});
    return;
  }
  const auto* found = std::lower_bound(std::begin(decompositions), std::end(decompositions), code_point,
                                       [](const Decomposition& d, uint32_t wanted) { return d.code_point < wanted; });
  if (found == std::end(decompositions) || found->code_point != code_point) {
    characters.push_back({code_point, combining_class_of(code_point)});
    return;
  }
  append_decomposed(characters, found->first);
  if (found->second != 0) append_decomposed(characters, found->second);
}

/// The pairs that compose, sorted by both parts.
const std::vector<Decomposition>& compositions() {
  static const std::vector<Decomposition> sorted = [] {
    std::vector<Decomposition> pairs;
    for (const Decomposition& d : decompositions) {
      if (d.composes) pairs.push_back(d);
    }
    std::sort(pairs.begin(), pairs.end(), [](const Decomposition& a, const Decomposition& b) {
      return std::pair(a.first, a.second) < std::pair(b.first, b.second);
    });
    return pairs;
  }();
  return sorted;
}

/// 0 when the two do not compose.
uint32_t composed(uint32_t first, uint32_t second) {
  if (first - leads < lead_count && second - vowels < vowel_count) {
    return syllables + ((first - leads) * vowel_count + (second - vowels)) * trail_count;
  }
  if (first - syllables < syllable_count && (first - syllables) % trail_count == 0 && second > trails &&
      second < trails + trail_count) {
    return first + (second - trails);
  }
  const std::vector<Decomposition>& pairs = compositions();
  const auto found = std::lower_bound(pairs.begin(), pairs.end(), std::pair(first, second),
                                      [](const Decomposition& d, const std::pair<uint32_t, uint32_t>& wanted) {
                                        return std::pair(d.first, d.second) < wanted;
                                      });
  if (found == pairs.end() || found->first != first || found->second != second) return 0;
  return found->code_point;
}

/// Canonical ordering (UAX 15, D109): runs of combining characters by class, otherwise in the order they came.
void order_canonically(std::span<Character> characters) {
  for (size_t i = 0; i < characters.size();) {
    if (characters[i].combining_class == 0) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < characters.size() && characters[end].combining_class != 0) ++end;
    std::stable_sort(characters.begin() + i, characters.begin() + end,
                     [](const Character& a, const Character& b) { return a.combining_class < b.combining_class; });
    i = end;
  }
}

/// Canonical composition (UAX 15, D117), in place.
void compose(std::vector<Character>& characters) {
  size_t kept = 0;
  size_t starter = SIZE_MAX;
  for (size_t i = 0; i < characters.size(); ++i) {
    const Character character = characters[i];
    if (starter != SIZE_MAX) {
      const bool adjacent = kept == starter + 1;
      // Blocked when something of the same or a higher class, or a starter, stands between.
      const bool blocked = !adjacent && characters[kept - 1].combining_class >= character.combining_class;
      const uint32_t pair = blocked ? 0 : composed(characters[starter].code_point, character.code_point);
      if (pair != 0) {
        characters[starter].code_point = pair;
        continue;
      }
    }
    if (character.combining_class == 0) starter = kept;
    characters[kept++] = character;
  }
  characters.resize(kept);
}

void append_composed(std::string& text, std::vector<Character>& characters) {
  order_canonically(characters);
  compose(characters);
  for (const Character& character : characters) append_utf8(text, character.code_point);
  characters.clear();
}

/// Below U+0300 (0xCC 0x80) nothing combines with what is before it, and nothing is decomposed for good.
bool begins_stable(char first_byte) { return static_cast<uint8_t>(first_byte) < 0xcc; }

/// How much from the beginning on comes out as it is: the last character before one that may combine does not count.
size_t stable_run(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && begins_stable(text[end])) ++end;
  if (end == text.size() || end == 0) return end;
  do --end;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80);
  return end;
}

}  // namespace

bool is_surely_nfc(std::string_view text) { return std::all_of(text.begin(), text.end(), begins_stable); }

std::string to_nfc(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  std::vector<Character> characters;
  for (size_t position = 0; position < text.size();) {
    const size_t stable = stable_run(text.substr(position));
    if (stable > 0) {
      append_composed(result, characters);
      result.append(text.substr(position, stable));
      position += stable;
      continue;
    }
    const Utf8Unit unit = utf8_unit_at(text, position);
    if (unit.kind == Utf8Unit::Kind::character) {
      append_decomposed(characters, unit.code_point);
    } else {
      append_composed(result, characters);
      result.append(text.substr(position, unit.size));
    }
    position += unit.size;
  }
  append_composed(result, characters);
  return result;
}

}  // namespace incipit
