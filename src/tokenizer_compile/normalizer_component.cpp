// tokenizer.json's `normalizer`.
#include <fmt/format.h>

#include "tokenizer_compile/json_field.h"
#include "tokenizer_compile/oniguruma.h"
#include "tokenizer_compile/tokenizer_source.h"

namespace incipit {
namespace {

std::string read_content(const JsonField& field) {
  const std::string_view content = field.string();
  if (content.size() > max_normalizer_content) {
    field.refuse(fmt::format("has {} bytes, more than {}", content.size(), max_normalizer_content));
  }
  return std::string(content);
}

void read_replace(const JsonField& field, TokenizerSource& source) {
  const JsonField pattern = field.at("pattern");
  std::string content = read_content(field.at("content"));
  if (const auto literal = pattern.find("String")) {
    if (literal->string().empty()) literal->refuse("is empty");
    source.normalizer.push_back({NormalizerStepKind::replace, std::string(literal->string()), std::move(content)});
    return;
  }
  const JsonField regex = pattern.at("Regex");
  if (regex.string().empty()) regex.refuse("is empty");
  std::string expression =
      pcre2_pattern_from_oniguruma(regex.string(), fmt::format("{}: {}", field.file(), regex.path()));
  source.normalizer.push_back({NormalizerStepKind::replace_pattern, std::move(expression), std::move(content)});
}

void read_normalizer_part(const JsonField& field, TokenizerSource& source) {
  const std::string_view type = field.at("type").string();
  if (type == "Sequence") {
    field.at("normalizers").each([&](const JsonField& part) { read_normalizer_part(part, source); });
  } else if (type == "NFC") {
    source.normalizer.push_back({NormalizerStepKind::nfc, {}, {}});
  } else if (type == "Prepend") {
    source.normalizer.push_back({NormalizerStepKind::prepend, {}, read_content(field.at("prepend"))});
  } else if (type == "Replace") {
    read_replace(field, source);
  } else if (type == "Strip") {
    if (field.flag("strip_left", true)) source.normalizer.push_back({NormalizerStepKind::strip_left, {}, {}});
    if (field.flag("strip_right", true)) source.normalizer.push_back({NormalizerStepKind::strip_right, {}, {}});
  } else {
    field.refuse(fmt::format("is of type {}, which is not supported", type),
                 "NFC, Prepend, Replace, Strip and Sequence are");
  }
}

}  // namespace

void read_normalizer(const JsonField& root, TokenizerSource& source) {
  if (const auto field = root.find("normalizer")) read_normalizer_part(*field, source);
  Normalizer(source.normalizer, root.file());  // patterns must compile
}

}  // namespace incipit
