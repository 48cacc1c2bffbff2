#include "jinja/python_case.h"

#include <algorithm>
#include <iterator>
#include <span>

#include "base/utf8.h"
#include "jinja/python_text.h"

namespace incipit::jinja {
namespace {

struct CaseRun {
  uint32_t first, last, step;
  int32_t upper, lower, title;  // distances
};
/// 0 behind the last of a text's characters.
struct SpecialCase {
  uint32_t character;
  uint32_t upper[3], lower[3], title[3];
};
struct FoldedCase {
  uint32_t character;
  uint32_t folded[3];
};
struct CharacterRange {
  uint32_t first, last;
};
#include "jinja/character_tables.inc"

bool is_ascii(uint32_t c) { return c < 0x80; }

bool is_among(std::span<const CharacterRange> ranges, uint32_t c) {
  const auto behind = std::ranges::upper_bound(ranges, c, {}, &CharacterRange::first);
  return behind != ranges.begin() && c <= std::prev(behind)->last;
}

const SpecialCase* special_case(uint32_t c) {
  const auto found = std::ranges::lower_bound(special_cases, c, {}, &SpecialCase::character);
  return found != std::end(special_cases) && found->character == c ? &*found : nullptr;
}

/// Null for a character without cases. A run of every second code point and the one between may overlap, no others.
const CaseRun* case_run(uint32_t c) {
  auto run = std::ranges::upper_bound(case_runs, c, {}, &CaseRun::first);
  for (int i = 0; i < 2 && run != std::begin(case_runs); ++i) {
    --run;
    if (c <= run->last && (c - run->first) % run->step == 0) return &*run;
  }
  return nullptr;
}

void append_all(std::string& text, const uint32_t (&characters)[3]) {
  for (const uint32_t c : characters) {
    if (c != 0) append_utf8(text, c);
  }
}

/// Appends one case of a character: the one that these members tell.
void append_case(std::string& text, uint32_t c, uint32_t (SpecialCase::*whole)[3], int32_t CaseRun::*distance) {
  if (is_ascii(c)) {
    const uint32_t first = distance == &CaseRun::lower ? uint32_t{'A'} : uint32_t{'a'};
    text += static_cast<char>(c >= first && c < first + 26 ? c ^ 0x20 : c);
    return;
  }
  if (const SpecialCase* special = special_case(c)) return append_all(text, special->*whole);
  const CaseRun* const run = case_run(c);
  append_utf8(text, run == nullptr ? c : static_cast<uint32_t>(static_cast<int32_t>(c) + run->*distance));
}

void append_upper(std::string& text, uint32_t c) { append_case(text, c, &SpecialCase::upper, &CaseRun::upper); }
void append_title(std::string& text, uint32_t c) { append_case(text, c, &SpecialCase::title, &CaseRun::title); }

bool is_cased(uint32_t c) { return is_among(cased, c); }

/// Whether the sigma at `at` ends a word: letters before it and none behind it, whatever has no case aside.
bool is_final_sigma(std::string_view text, size_t at, size_t size) {
  const auto counts = [](uint32_t c) { return !is_among(case_ignored, c); };
  bool letter_before = false;
  for (size_t end = at; end > 0;) {
    const uint32_t c = code_point_before(text, end);
    if (counts(c)) {
      letter_before = is_cased(c);
      break;
    }
    do --end;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80);
  }
  if (!letter_before) return false;
  for (size_t next = at + size; next < text.size();) {
    const Utf8Unit unit = utf8_unit_at(text, next);
    if (counts(unit.code_point)) return !is_cased(unit.code_point);
    next += unit.size;
  }
  return true;
}

/// Calls visit(result, character, place, bytes) for each character of a text and returns the result.
template <typename Visit>
std::string mapped(std::string_view text, const Visit& visit) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Unit unit = utf8_unit_at(text, at);
    visit(result, unit.code_point, at, unit.size);
    at += unit.size;
  }
  return result;
}

void append_lower(std::string& result, std::string_view text, uint32_t c, size_t at, size_t size) {
  constexpr uint32_t capital_sigma = 0x3a3, final_sigma = 0x3c2;
  if (c == capital_sigma && is_final_sigma(text, at, size)) return append_utf8(result, final_sigma);
  append_case(result, c, &SpecialCase::lower, &CaseRun::lower);
}

template <typename Visit>
void each_code_point(std::string_view text, const Visit& visit) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Unit unit = utf8_unit_at(text, at);
    visit(unit.code_point);
    at += unit.size;
  }
}

bool is_title_letter(uint32_t c) { return is_cased(c) && !is_among(upper_letters, c) && !is_among(lower_letters, c); }

}  // namespace

std::string upper(std::string_view text) {
  return mapped(text, [](std::string& result, uint32_t c, size_t, size_t) { append_upper(result, c); });
}

std::string lower(std::string_view text) {
  return mapped(
      text, [&](std::string& result, uint32_t c, size_t at, size_t size) { append_lower(result, text, c, at, size); });
}

std::string case_fold(std::string_view text) {
  return mapped(text, [](std::string& result, uint32_t c, size_t, size_t) {
    const auto found = std::ranges::lower_bound(folded_cases, c, {}, &FoldedCase::character);
    if (found != std::end(folded_cases) && found->character == c) return append_all(result, found->folded);
    append_case(result, c, &SpecialCase::lower, &CaseRun::lower);
  });
}

std::string swap_case(std::string_view text) {
  return mapped(text, [&](std::string& result, uint32_t c, size_t at, size_t size) {
    if (is_among(upper_letters, c)) return append_lower(result, text, c, at, size);
    if (is_among(lower_letters, c)) return append_upper(result, c);
    append_utf8(result, c);
  });
}

std::string capitalize(std::string_view text) {
  return mapped(text, [&](std::string& result, uint32_t c, size_t at, size_t size) {
    if (at == 0) return append_title(result, c);
    append_lower(result, text, c, at, size);
  });
}

std::string title(std::string_view text) {
  bool inside = false;
  return mapped(text, [&](std::string& result, uint32_t c, size_t at, size_t size) {
    if (inside) {
      append_lower(result, text, c, at, size);
    } else {
      append_title(result, c);
    }
    inside = is_cased(c);
  });
}

std::string title_words(std::string_view text) {
  std::string result;
  // Each word by itself, as Jinja splits the text: what is before a word's second letter does not make a sigma final.
  size_t begin = 0;
  const auto add_word = [&](size_t end) {
    if (begin == end) return;
    const size_t first = utf8_unit_at(text, begin).size;
    result += upper(text.substr(begin, first));
    result += lower(text.substr(begin + first, end - begin - first));
  };
  for (size_t at = 0; at < text.size();) {
    const Utf8Unit unit = utf8_unit_at(text, at);
    const uint32_t c = unit.code_point;
    if (is_python_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<') {
      add_word(at);
      result += text.substr(at, unit.size);
      begin = at + unit.size;
    }
    at += unit.size;
  }
  add_word(text.size());
  return result;
}

bool is_upper(std::string_view text) {
  bool found = false, other = false;
  each_code_point(text, [&](uint32_t c) {
    found = found || is_among(upper_letters, c);
    other = other || is_among(lower_letters, c) || is_title_letter(c);
  });
  return found && !other;
}

bool is_lower(std::string_view text) {
  bool found = false, other = false;
  each_code_point(text, [&](uint32_t c) {
    found = found || is_among(lower_letters, c);
    other = other || is_among(upper_letters, c) || is_title_letter(c);
  });
  return found && !other;
}

bool is_title(std::string_view text) {
  bool found = false, other = false, inside = false;
  each_code_point(text, [&](uint32_t c) {
    const bool begins = is_among(upper_letters, c) || is_title_letter(c);
    const bool goes_on = is_among(lower_letters, c);
    other = other || (begins && inside) || (goes_on && !inside);
    inside = begins || goes_on;
    found = found || inside;
  });
  return found && !other;
}

bool is_alphabetic(uint32_t c) {
  if (is_ascii(c)) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return is_among(alphabetic, c);
}

bool is_alphanumeric(uint32_t c) { return is_alphabetic(c) || is_numeric(c); }
bool is_digit(uint32_t c) { return is_among(digits, c); }
bool is_numeric(uint32_t c) { return is_among(numeric, c); }
bool is_printable(uint32_t c) { return is_ascii(c) ? c >= 0x20 && c != 0x7f : !is_among(unprintable, c); }

std::optional<uint32_t> decimal_value(uint32_t c) {
  const auto behind = std::ranges::upper_bound(decimal_zeros, c);
  if (behind == std::begin(decimal_zeros) || c - *std::prev(behind) > 9) return std::nullopt;
  return c - *std::prev(behind);
}

}  // namespace incipit::jinja
