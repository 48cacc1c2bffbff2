// tokenizer.json's `pre_tokenizer`: everything becomes splits by a pattern and spaces put in front.
// Source: Hugging Face tokenizers, pre_tokenizers/*.rs.
#include <fmt/format.h>

#include "base/utf8.h"
#include "tokenizer_compile/json_field.h"
#include "tokenizer_compile/oniguruma.h"
#include "tokenizer_compile/tokenizer_source.h"

namespace incipit {

// Source: GPT-2's encoder.py; the tokenizer.json of Llama 3 and of Qwen 2.
const std::string_view gpt2_pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string_view llama3_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view qwen2_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace {

SplitBehavior read_behavior(const JsonField& field) {
  const std::string_view name = field.string();
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  field.refuse(fmt::format("is {}, which is not supported", name),
               "Isolated, Removed, MergedWithPrevious, MergedWithNext and Contiguous are");
}

class PreTokenizerReader {
 public:
  explicit PreTokenizerReader(std::vector<PreTokenizerStep>& steps) : steps_(steps) {}

  void read(const JsonField& field) {
    const std::string_view type = field.at("type").string();
    if (type == "Sequence") {
      field.at("pretokenizers").each([&](const JsonField& part) { read(part); });
      return;
    }
    // Behind ByteLevel, which turns text into symbols that stand for bytes, cutting remains.
    if (ends_in_bytes_ && (type == "ByteLevel" || type == "Metaspace")) {
      field.refuse(fmt::format("is {} after ByteLevel, which is not supported", type),
                   "Split, Digits and Punctuation may come after it");
    }
    if (type == "Split") {
      read_split(field);
    } else if (type == "Digits") {
      add_split(field.flag("individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)", SplitBehavior::isolated, false);
    } else if (type == "Punctuation") {
      const auto behavior = field.find("behavior");
      add_split(R"([!-\/:-@\[-`{-~\p{P}])", behavior ? read_behavior(*behavior) : SplitBehavior::isolated, false);
    } else if (type == "ByteLevel") {
      if (field.at("add_prefix_space").boolean()) {
        steps_.push_back({PreTokenizerStepKind::prefix_space, SplitBehavior::isolated, false, {}});
      }
      if (field.flag("use_regex", true)) {
        add_split(pcre2_pattern_from_oniguruma(gpt2_pattern, field.file()), SplitBehavior::isolated, false);
      }
      ends_in_bytes_ = true;
    } else if (type == "Metaspace") {
      read_metaspace(field);
    } else {
      field.refuse(fmt::format("is of type {}, which is not supported", type),
                   "Split, Digits, Punctuation, ByteLevel, Metaspace and Sequence are");
    }
  }

  bool ends_in_bytes() const { return ends_in_bytes_; }

 private:
  void read_metaspace(const JsonField& field) {
    const JsonField replacement = field.at("replacement");
    if (!is_one_character(replacement.string())) replacement.refuse("is not one character");
    const std::string mark(replacement.string());
    steps_.push_back({metaspace_scheme(field), SplitBehavior::isolated, false, mark});
    if (field.flag("split", true)) add_split(pattern_of_literal(mark), SplitBehavior::merged_with_next, false);
  }

  void read_split(const JsonField& field) {
    const JsonField pattern = field.at("pattern");
    const SplitBehavior behavior = read_behavior(field.at("behavior"));
    const bool invert = field.flag("invert", false);
    std::string expression;
    if (const auto literal = pattern.find("String")) {
      if (literal->string().empty()) literal->refuse("is empty");
      expression = pattern_of_literal(literal->string());
    } else {
      const JsonField regex = pattern.at("Regex");
      expression = pcre2_pattern_from_oniguruma(regex.string(), fmt::format("{}: {}", field.file(), regex.path()));
    }
    add_split(std::move(expression), behavior, invert);
  }

  void add_split(std::string pattern, SplitBehavior behavior, bool invert) {
    const auto kind = ends_in_bytes_ ? PreTokenizerStepKind::split_symbols : PreTokenizerStepKind::split;
    steps_.push_back({kind, behavior, invert, std::move(pattern)});
  }

  std::vector<PreTokenizerStep>& steps_;
  bool ends_in_bytes_ = false;
};

}  // namespace

PreTokenizerStepKind metaspace_scheme(const JsonField& field) {
  const auto scheme = field.find("prepend_scheme");
  if (!scheme) {  // the older way to say it
    return field.flag("add_prefix_space", true) ? PreTokenizerStepKind::metaspace_always
                                                : PreTokenizerStepKind::metaspace_never;
  }
  if (scheme->string() == "first") return PreTokenizerStepKind::metaspace_first;
  if (scheme->string() == "always") return PreTokenizerStepKind::metaspace_always;
  if (scheme->string() == "never") return PreTokenizerStepKind::metaspace_never;
  scheme->refuse(fmt::format("is {}, which is not supported", scheme->string()), "first, always and never are");
}

void read_pre_tokenizer(const JsonField& root, TokenizerSource& source) {
  PreTokenizerReader reader(source.steps);
  if (const auto field = root.find("pre_tokenizer")) reader.read(*field);
  source.unit = reader.ends_in_bytes() ? MergeUnit::bytes : MergeUnit::characters;
  PreTokenizer(source.steps, root.file());  // patterns must compile
}

}  // namespace incipit
