// vocab.json with merges.txt: a byte-level BPE as GPT-2 was published. What cuts a text into pieces is not in them: see
// docs/tokenizers.md.
#include <fmt/format.h>

#include <algorithm>

#include <boost/json.hpp>

#include "base/ascii.h"
#include "base/error.h"
#include "base/json.h"
#include "tokenizer_compile/json_field.h"
#include "tokenizer_compile/oniguruma.h"
#include "tokenizer_compile/tokenizer_source.h"

namespace incipit {
namespace {

/// The scheme whose pieces the vocabulary's tokens fit in. GPT-2's keeps letters apart from what stands before them,
/// but for a space; of the others only Llama 3's joins digits.
MergesScheme scheme_of(const TokenizerSource& source) {
  bool joins_signs_and_letters = false, joins_digits = false;
  for (const TokenizerSource::Token& token : source.tokens) {
    const std::string& text = token.spelling;
    if (text.size() < 2) continue;
    joins_digits |= std::all_of(text.begin(), text.end(), is_ascii_digit);
    const bool sign =
        text[0] > ' ' && text[0] < 0x7f && text[0] != '\'' && !is_ascii_letter(text[0]) && !is_ascii_digit(text[0]);
    joins_signs_and_letters |= sign && std::all_of(text.begin() + 1, text.end(), is_ascii_letter);
  }
  if (!joins_signs_and_letters) return MergesScheme::gpt2;
  return joins_digits ? MergesScheme::llama3 : MergesScheme::qwen2;
}

void read_merges_file(std::string_view text, std::string_view file, TokenizerSource& source) {
  int64_t number = 0;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    std::string_view left, right;
    if (!split_merge(line, source, left, right)) {
      throw Error(file, fmt::format("line {} is not a pair of tokens", number));
    }
    std::string missing;
    if (!add_merge(left, right, source, missing)) {
      throw Error(file, fmt::format("line {} needs a token that is not in vocab.json", number),
                  "take both files from the same model");
    }
    if (source.merge_results.size() > max_merges) {
      throw Error(file, fmt::format("it has more than {} merges", max_merges));
    }
  }
}

}  // namespace

TokenizerSource read_vocabulary_and_merges(const MergesFiles& files, MergesScheme scheme, bool prefix_space) {
  const boost::json::value document = parse_json(files.vocabulary, files.vocabulary_name);
  TokenizerSource source;
  source.unit = MergeUnit::bytes;
  read_vocabulary(JsonField(document, files.vocabulary_name, ""), source);
  find_byte_ids(source);
  read_merges_file(files.merges, files.merges_name, source);
  if (scheme == MergesScheme::by_vocabulary) scheme = scheme_of(source);
  if (prefix_space) source.steps.push_back({PreTokenizerStepKind::prefix_space, SplitBehavior::isolated, false, {}});
  std::string_view pattern = gpt2_pattern;
  if (scheme == MergesScheme::llama3) {
    pattern = llama3_pattern;
    source.ignore_merges = true;
  } else if (scheme == MergesScheme::qwen2) {
    pattern = qwen2_pattern;
    source.normalizer.push_back({NormalizerStepKind::nfc, {}, {}});
  }
  source.steps.push_back({PreTokenizerStepKind::split, SplitBehavior::isolated, false,
                          pcre2_pattern_from_oniguruma(pattern, files.merges_name)});
  return source;
}

}  // namespace incipit
