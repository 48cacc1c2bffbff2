// What is done to a text before it is cut. Source: Hugging Face tokenizers' `normalizer` component, normalizers/*.rs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace incipit {

/// Stored in compiled tokenizers: never renumber.
enum class NormalizerStepKind : uint32_t {
  nfc = 0,
  prepend = 1,          // `content` before a part that is not empty
  prepend_first = 2,    // the same, but only where the whole text begins
  replace = 3,          // every `pattern`, taken literally, by `content`
  replace_pattern = 4,  // every match of `pattern` by `content`, taken literally
  strip_left = 5,       // white space
  strip_right = 6,
};
constexpr uint32_t normalizer_step_kind_count = 7;

/// Bounds how much a step can add to a text.
constexpr size_t max_normalizer_content = 64;

struct NormalizerStep {
  NormalizerStepKind kind = NormalizerStepKind::nfc;
  std::string pattern;  // not empty where the kind takes one; PCRE2's dialect for replace_pattern
  std::string content;  // at most max_normalizer_content bytes
};

class Normalizer {
 public:
  /// Throws Error naming `thing` for a pattern that does not compile.
  Normalizer(const std::vector<NormalizerStep>& steps, std::string_view thing);

  /// Whether `text` surely comes out as it went in, so that it need not be copied.
  bool leaves_alone(std::string_view text) const;

  /// `text` is a part between added tokens; `first` when the whole text begins with it. Broken bytes are kept. Throws
  /// Error when steps make much more of it than any real tokenizer's do.
  std::string normalize(std::string_view text, bool first) const;

 private:
  struct Step {
    NormalizerStep what;
    std::optional<Regex> regex;  // of replace_pattern
  };
  std::string thing_;
  std::vector<Step> steps_;
};

/// Every match of `regex` in `text` replaced by `content`; broken bytes are kept and never match.
std::string replace_matches(const Regex& regex, std::string_view text, std::string_view content);
/// Every `pattern` (not empty) replaced by `content`.
std::string replace_literal(std::string_view text, std::string_view pattern, std::string_view content);

}  // namespace incipit
