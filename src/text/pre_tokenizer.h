// Cutting a text into the pieces that byte-pair merging may not cross.
// Source: Hugging Face tokenizers, pre_tokenizers/{split,byte_level,metaspace,sequence}.rs and tokenizer/normalizer.rs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace incipit {

/// What becomes of the matches of a pattern and what lies between them. Stored in compiled tokenizers: never renumber.
enum class SplitBehavior : uint32_t {
  isolated = 0,              // each match and each gap is a piece
  removed = 1,               // gaps are pieces, matches are dropped
  merged_with_previous = 2,  // a match ends the gap before it
  merged_with_next = 3,      // a match begins the gap after it
  contiguous = 4,            // neighbouring matches are one piece
};
constexpr uint32_t split_behavior_count = 5;

/// Stored in compiled tokenizers: never renumber.
enum class PreTokenizerStepKind : uint32_t {
  split = 0,         // cut by a pattern
  prefix_space = 1,  // put a space before every piece that does not begin with one
  // Spaces become `pattern`, taken literally, which is also put before
  metaspace_never = 2,   // no piece
  metaspace_first = 3,   // the one with which the text begins, unless it begins so
  metaspace_always = 4,  // every piece that does not begin so
  split_symbols = 5,     // cut by a pattern that sees the symbols for the text's bytes (byte_alphabet.h)
};
constexpr uint32_t pre_tokenizer_step_kind_count = 6;
constexpr bool is_metaspace(PreTokenizerStepKind kind) {
  return kind >= PreTokenizerStepKind::metaspace_never && kind <= PreTokenizerStepKind::metaspace_always;
}
constexpr bool is_split(PreTokenizerStepKind kind) {
  return kind == PreTokenizerStepKind::split || kind == PreTokenizerStepKind::split_symbols;
}

struct PreTokenizerStep {
  PreTokenizerStepKind kind = PreTokenizerStepKind::split;
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;  // gaps count as matches and matches as gaps
  std::string pattern;  // of a split, in PCRE2's dialect; of metaspace, the one character that spaces become
};

/// What one thread needs while cutting.
struct PreTokenizerScratch {
  std::string text;  // the pieces' text, when it is not the caller's
  std::string next_text;
  std::vector<TextRange> pieces;
  std::vector<TextRange> next_pieces;
  std::string symbols;  // of one piece
};

class PreTokenizer {
 public:
  /// Throws Error naming `thing` for a pattern that does not compile.
  PreTokenizer(const std::vector<PreTokenizerStep>& steps, std::string_view thing);

  /// Cuts `text` into scratch.pieces and returns what these are ranges of: `text` itself or scratch.text. Broken
  /// UTF-8 is cut out as pieces of its own. None of the pieces is empty. `first`: the whole text begins with this.
  std::string_view cut(std::string_view text, bool first, PreTokenizerScratch& scratch) const;

 private:
  struct Step {
    PreTokenizerStepKind kind;
    SplitBehavior behavior;
    bool invert;
    std::vector<Regex> regex;  // one for a split, none otherwise
    std::string pattern;       // of metaspace
  };
  /// Appends the pieces of `part`, which begins at `begin`, cut where its symbols are.
  static void split_symbols(const Step& step, std::string_view part, size_t begin, PreTokenizerScratch& scratch);
  /// Appends a piece as metaspace makes it.
  static void append_metaspaced(const Step& step, std::string_view part, bool first, std::string& result);

  std::vector<Step> steps_;
};

/// Appends the pieces of `text` within `range`.
void split_range(const Regex& regex, SplitBehavior behavior, bool invert, std::string_view text, TextRange range,
                 std::vector<TextRange>& pieces);

}  // namespace incipit
