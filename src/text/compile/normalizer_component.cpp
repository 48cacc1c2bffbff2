// tokenizer.json's `normalizer`.
#include <fmt/format.h>

#include "text/compile/json_field.h"
#include "text/compile/tokenizer_source.h"

namespace incipit {
namespace {

void read(const JsonField& field, TokenizerSource& source) {
  const std::string_view type = field.at("type").string();
  if (type == "Sequence") {
    field.at("normalizers").each([&](const JsonField& part) { read(part, source); });
  } else if (type == "NFC") {
    source.normalizer = NormalizerKind::nfc;  // more than once changes nothing
  } else {
    field.refuse(fmt::format("is of type {}, which is not supported", type), "NFC and none are");
  }
}

}  // namespace

void read_normalizer(const JsonField& root, TokenizerSource& source) {
  if (const auto field = root.find("normalizer")) read(*field, source);
}

}  // namespace incipit
