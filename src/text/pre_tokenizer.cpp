#include "text/pre_tokenizer.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/normalizer.h"

namespace incipit {

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
    Step made{step.kind, step.behavior, step.invert, {}, {}};
    if (is_metaspace(step.kind)) made.pattern = step.pattern;
    if (is_split(step.kind)) made.regex.emplace_back(step.pattern, thing);
    steps_.push_back(std::move(made));
  }
}

void PreTokenizer::split_symbols(const Step& step, std::string_view part, size_t begin, PreTokenizerScratch& scratch) {
  scratch.symbols.clear();
  for (const char byte : part) append_utf8(scratch.symbols, byte_symbol(static_cast<uint8_t>(byte)));
  const size_t first = scratch.next_pieces.size();
  split_range(step.regex.front(), step.behavior, step.invert, scratch.symbols, {0, scratch.symbols.size()},
              scratch.next_pieces);
  // Pieces come in the order of the text: one walk finds which byte each begins and ends with.
  size_t place = 0, byte = begin;
  const auto byte_at = [&](size_t wanted) {
    for (; place < wanted; ++byte) place += utf8_unit_at(scratch.symbols, place).size;
    return byte;
  };
  for (size_t i = first; i < scratch.next_pieces.size(); ++i) {
    TextRange& piece = scratch.next_pieces[i];
    piece.begin = byte_at(piece.begin);
    piece.end = byte_at(piece.end);
  }
}

void PreTokenizer::append_metaspaced(const Step& step, std::string_view part, bool first, std::string& result) {
  const bool begins_so = part[0] == ' ' || part.starts_with(step.pattern);
  const bool wanted = step.kind == PreTokenizerStepKind::metaspace_always ||
                      (step.kind == PreTokenizerStepKind::metaspace_first && first);
  if (wanted && !begins_so) result += step.pattern;
  result += replace_literal(part, " ", step.pattern);
}

std::string_view PreTokenizer::cut(std::string_view text, bool first, PreTokenizerScratch& scratch) const {
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
  // Patterns see valid text only; broken pieces go through uncut, also after a metaspace was put in front of them.
  const auto is_broken = [](std::string_view source, TextRange piece) {
    const size_t size = piece.end - piece.begin;
    return valid_utf8_prefix(source.substr(piece.begin, size)) != size;
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
    } else if (step.kind == PreTokenizerStepKind::split_symbols) {
      for (const TextRange piece : scratch.pieces) {
        split_symbols(step, text.substr(piece.begin, piece.end - piece.begin), piece.begin, scratch);
      }
    } else {
      scratch.next_text.clear();
      for (const TextRange piece : scratch.pieces) {
        const size_t begin = scratch.next_text.size();
        const std::string_view part = text.substr(piece.begin, piece.end - piece.begin);
        if (step.kind != PreTokenizerStepKind::prefix_space) {
          append_metaspaced(step, part, first && piece.begin == 0, scratch.next_text);
        } else {
          if (part[0] != ' ' && !is_broken(text, piece)) scratch.next_text += ' ';
          scratch.next_text += part;
        }
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
