// tokenizer.json's `post_processor`: ids put before and after a text.
// Source: Hugging Face tokenizers, processors/*.rs.
#include <fmt/format.h>

#include "tokenizer_compile/json_field.h"
#include "tokenizer_compile/tokenizer_source.h"

namespace incipit {
namespace {

/// Adds an id that `field` gives.
void add_id(const JsonField& field, const TokenizerSource& source, std::vector<int32_t>& ids) {
  const int32_t id = read_id(field);
  if (!source.has(id)) field.refuse(fmt::format("is {}, which no token has", id));
  ids.push_back(id);
}

/// Puts ids around what earlier processors made of the text.
void put_around(const std::vector<int32_t>& before, const std::vector<int32_t>& after, TokenizerSource& source) {
  source.prefix_ids.insert(source.prefix_ids.begin(), before.begin(), before.end());
  source.suffix_ids.insert(source.suffix_ids.end(), after.begin(), after.end());
}

void read_template(const JsonField& processor, TokenizerSource& source) {
  const JsonField single = processor.at("single");
  std::vector<int32_t> before, after;
  bool text_seen = false;
  single.each([&](const JsonField& piece) {
    if (const auto special = piece.find("SpecialToken")) {
      const JsonField ids = processor.at("special_tokens").at(special->at("id").string()).at("ids");
      ids.each([&](const JsonField& id) { add_id(id, source, text_seen ? after : before); });
    } else {
      const JsonField id = piece.at("Sequence").at("id");
      if (text_seen || id.string() != "A") id.refuse("is not the one and only A");
      text_seen = true;
    }
  });
  if (!text_seen) single.refuse("leaves the text itself out");
  put_around(before, after, source);
}

/// BERT's and RoBERTa's: "cls" before the text and "sep" behind it, each a token and its id.
void read_pair(const JsonField& processor, TokenizerSource& source) {
  const auto read = [&](std::string_view name) {
    const JsonField pair = processor.at(name);
    std::vector<int32_t> ids;
    size_t place = 0;
    pair.each([&](const JsonField& field) {
      if (place++ == 1) add_id(field, source, ids);
    });
    if (place != 2) pair.refuse("is not a token and its id");
    return ids;
  };
  const std::vector<int32_t> before = read("cls");
  put_around(before, read("sep"), source);
}

void read_processor_part(const JsonField& field, TokenizerSource& source) {
  const std::string_view type = field.at("type").string();
  if (type == "Sequence") {
    field.at("processors").each([&](const JsonField& part) { read_processor_part(part, source); });
  } else if (type == "TemplateProcessing") {
    read_template(field, source);
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    read_pair(field, source);
  } else if (type != "ByteLevel") {  // that one moves offsets only
    field.refuse(fmt::format("is of type {}, which is not supported", type),
                 "TemplateProcessing, RobertaProcessing, BertProcessing, ByteLevel and Sequence are");
  }
}

}  // namespace

void read_post_processor(const JsonField& root, TokenizerSource& source) {
  if (const auto field = root.find("post_processor")) read_processor_part(*field, source);
}

}  // namespace incipit
