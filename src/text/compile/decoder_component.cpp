// tokenizer.json's `decoder`: tokens already hold the bytes that ByteLevel would make of them, so it is only checked.
#include <fmt/format.h>

#include "text/compile/json_field.h"
#include "text/compile/tokenizer_source.h"

namespace incipit {
namespace {

void count_byte_levels(const JsonField& field, int& byte_levels) {
  const std::string_view type = field.at("type").string();
  if (type == "Sequence") {
    field.at("decoders").each([&](const JsonField& part) { count_byte_levels(part, byte_levels); });
  } else if (type == "ByteLevel") {
    ++byte_levels;
  } else if (type != "Fuse" || byte_levels == 0) {  // ByteLevel leaves one string: nothing to fuse
    field.refuse(fmt::format("is of type {}, which is not supported", type), "ByteLevel is");
  }
}

}  // namespace

void read_decoder(const JsonField& root, TokenizerSource&) {
  int byte_levels = 0;
  if (const auto field = root.find("decoder")) count_byte_levels(*field, byte_levels);
  if (byte_levels != 1) root.refuse("does not have exactly one ByteLevel in its decoder");
}

}  // namespace incipit
