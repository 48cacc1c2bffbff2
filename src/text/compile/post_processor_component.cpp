// tokenizer.json's `post_processor`: ids put before and after a text.
#include <fmt/format.h>

#include "text/compile/json_field.h"
#include "text/compile/tokenizer_source.h"

namespace incipit {
namespace {

std::vector<int32_t> ids_of_special(const JsonField& processor, const JsonField& piece, const TokenizerSource& source) {
  const JsonField name = piece.at("id");
  std::vector<int32_t> ids;
  processor.at("special_tokens").at(name.string()).at("ids").each([&](const JsonField& field) {
    const int32_t id = read_id(field);
    if (static_cast<size_t>(id) >= source.tokens.size() || !source.tokens[static_cast<size_t>(id)].present) {
      field.refuse(fmt::format("is {}, which no token has", id));
    }
    ids.push_back(id);
  });
  return ids;
}

void read_template(const JsonField& processor, TokenizerSource& source) {
  const JsonField single = processor.at("single");
  std::vector<int32_t> before, after;
  bool text_seen = false;
  single.each([&](const JsonField& piece) {
    if (const auto special = piece.find("SpecialToken")) {
      const std::vector<int32_t> ids = ids_of_special(processor, *special, source);
      std::vector<int32_t>& side = text_seen ? after : before;
      side.insert(side.end(), ids.begin(), ids.end());
    } else {
      const JsonField id = piece.at("Sequence").at("id");
      if (text_seen || id.string() != "A") id.refuse("is not the one and only A");
      text_seen = true;
    }
  });
  if (!text_seen) single.refuse("leaves the text itself out");
  source.has_template = true;
  source.prefix_ids = std::move(before);
  source.suffix_ids = std::move(after);
}

void read(const JsonField& field, TokenizerSource& source, int& templates) {
  const std::string_view type = field.at("type").string();
  if (type == "Sequence") {
    field.at("processors").each([&](const JsonField& part) { read(part, source, templates); });
  } else if (type == "TemplateProcessing") {
    if (++templates > 1) field.refuse("is a second TemplateProcessing, which is not supported");
    read_template(field, source);
  } else if (type != "ByteLevel") {  // that one moves offsets only
    field.refuse(fmt::format("is of type {}, which is not supported", type),
                 "TemplateProcessing, ByteLevel and Sequence are");
  }
}

}  // namespace

void read_post_processor(const JsonField& root, TokenizerSource& source) {
  int templates = 0;
  if (const auto field = root.find("post_processor")) read(*field, source, templates);
}

}  // namespace incipit
