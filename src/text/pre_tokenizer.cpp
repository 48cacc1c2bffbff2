#include "text/pre_tokenizer.h"

#include <algorithm>

#include "text/utf8.h"

namespace incipit {
namespace {

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

}  // namespace

void split_range(const Regex& regex, SplitBehavior behavior, bool invert, std::string_view text, TextRange range,
                 std::vector<TextRange>& pieces) {
  const size_t first = pieces.size();
  bool previous_match = false;
  TextRange held{range.begin, range.begin};  // merged_with_next: matches that wait for a gap
  for_each_span(regex, text.substr(range.begin, range.end - range.begin), [&](TextRange span, bool found) {
    const bool match = found != invert;
    span.begin += range.begin;
    span.end += range.begin;
    bool joins = false;
    switch (behavior) {
      case SplitBehavior::isolated: break;
      case SplitBehavior::removed:
        if (match) return;
        break;
      case SplitBehavior::merged_with_previous: joins = match && !previous_match; break;
      case SplitBehavior::contiguous: joins = match == previous_match; break;
      case SplitBehavior::merged_with_next:
        // A gap takes in only the match right before it; a match before another match stands alone.
        if (held.begin != held.end && match) pieces.push_back(held);
        if (match) {
          held = span;
          return;
        }
        if (held.begin != held.end) span.begin = held.begin;
        held = {span.end, span.end};
        break;
    }
    previous_match = match;
    if (joins && pieces.size() > first) {
      pieces.back().end = span.end;
    } else if (span.begin != span.end) {
      pieces.push_back(span);
    }
  });
  if (held.begin != held.end) pieces.push_back(held);
}

PreTokenizer::PreTokenizer(const std::vector<PreTokenizerStep>& steps, std::string_view thing) {
  for (const PreTokenizerStep& step : steps) {
    Step made{step.kind, step.behavior, step.invert, {}};
    if (step.kind == PreTokenizerStepKind::split) made.regex.emplace_back(step.pattern, thing);
    steps_.push_back(std::move(made));
  }
}

std::string_view PreTokenizer::cut(std::string_view text, PreTokenizerScratch& scratch) const {
  scratch.pieces.clear();
  for (size_t position = 0; position < text.size();) {
    const size_t valid = valid_utf8_prefix(text.substr(position));
    if (valid > 0) scratch.pieces.push_back({position, position + valid});
    position += valid;
    const size_t broken = position;
    while (position < text.size()) {
      const Utf8Unit unit = utf8_unit_at(text, position);
      if (unit.kind == Utf8Unit::Kind::character) break;
      position += unit.size;
    }
    if (position > broken) scratch.pieces.push_back({broken, position});
  }
  // Patterns see valid text only; broken pieces go through uncut.
  const auto is_broken = [](std::string_view source, TextRange piece) {
    return utf8_unit_at(source, piece.begin).kind != Utf8Unit::Kind::character;
  };

  for (const Step& step : steps_) {
    scratch.next_pieces.clear();
    if (step.kind == PreTokenizerStepKind::split) {
      for (const TextRange piece : scratch.pieces) {
        if (is_broken(text, piece)) {
          scratch.next_pieces.push_back(piece);
        } else {
          split_range(step.regex.front(), step.behavior, step.invert, text, piece, scratch.next_pieces);
        }
      }
    } else {
      scratch.next_text.clear();
      for (const TextRange piece : scratch.pieces) {
        const size_t begin = scratch.next_text.size();
        if (text[piece.begin] != ' ' && !is_broken(text, piece)) scratch.next_text += ' ';
        scratch.next_text += text.substr(piece.begin, piece.end - piece.begin);
        scratch.next_pieces.push_back({begin, scratch.next_text.size()});
      }
      scratch.text.swap(scratch.next_text);
      text = scratch.text;
    }
    scratch.pieces.swap(scratch.next_pieces);
  }
  return text;
}

}  // namespace incipit
