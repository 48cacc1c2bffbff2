// Oniguruma's patterns, in which tokenizer.json is written, said in PCRE2's words.
// Source: Oniguruma 6.9, doc/RE (ONIG_SYNTAX_ONIGURUMA, which Hugging Face tokenizers use); pcre2pattern(3).
#pragma once

#include <string>
#include <string_view>

namespace incipit {

/// A pattern that PCRE2, compiled as Regex does it, reads as Oniguruma reads `pattern`. Throws Error naming `thing` and
/// the construct that has no counterpart.
std::string pcre2_pattern_from_oniguruma(std::string_view pattern, std::string_view thing);

}  // namespace incipit
