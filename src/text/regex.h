// Regular expressions as tokenizers use them: PCRE2, Unicode aware, compiled to machine code.
// Source: pcre2api(3), pcre2jit(3).
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/utf8.h"

namespace incipit {

struct TextRange {
  size_t begin;
  size_t end;
  bool operator==(const TextRange&) const = default;
};

class Regex {
 public:
  /// Throws Error naming `thing` when PCRE2 does not accept the pattern.
  Regex(std::string_view pattern, std::string_view thing);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  /// The first match in `subject`, which must be valid UTF-8, from `position` on (a character's first byte). Never
  /// looks outside `subject`. Throws Error when the pattern needs too many steps. May be called by many threads.
  std::optional<TextRange> find(std::string_view subject, size_t position) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

/// A pattern that matches exactly `text`.
std::string pattern_of_literal(std::string_view text);

/// Calls `visit(range, is_match)` for matches and gaps in turn, offsets within `text`; gaps are never empty.
template <typename Visit>
void for_each_span(const Regex& regex, std::string_view text, const Visit& visit) {
  size_t gap_start = 0;
  size_t position = 0;
  bool matched_before = false;
  while (position <= text.size()) {
    const auto match = regex.find(text, position);
    if (!match) break;
    const bool empty = match->begin == match->end;
    // An empty match right behind another one is no match.
    if (!empty || !matched_before || match->end != gap_start) {
      if (gap_start != match->begin) visit(TextRange{gap_start, match->begin}, false);
      visit(*match, true);
      gap_start = match->end;
      matched_before = true;
    }
    position = match->end;
    if (empty) position += position < text.size() ? utf8_unit_at(text, position).size : 1;
  }
  if (gap_start != text.size()) visit(TextRange{gap_start, text.size()}, false);
}

}  // namespace incipit
