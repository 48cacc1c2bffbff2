// tokenizer.json's `added_tokens`.
#include <fmt/format.h>

#include "text/byte_alphabet.h"
#include "text/compile/json_field.h"
#include "text/compile/tokenizer_source.h"
#include "text/tokenizer_tables.h"

namespace incipit {

void read_added_tokens(const JsonField& root, TokenizerSource& source) {
  const auto list = root.find("added_tokens");
  if (!list) return;
  const int64_t limit = id_limit(source.tokens.size());
  list->each([&](const JsonField& entry) {
    const JsonField id_field = entry.at("id");
    const JsonField content = entry.at("content");
    const std::string text(content.string());
    const int32_t id = static_cast<int32_t>(id_field.integer(0, limit - 1));
    TokenizerSource::Token& token = source.token(id);
    const auto known = source.ids.find(text);
    if (known != source.ids.end() && known->second != id) {
      id_field.refuse(fmt::format("is {}, but \"{}\" already has the id {}", id, text, known->second));
    }
    if (token.added || (token.present && known == source.ids.end())) {
      id_field.refuse(fmt::format("is {}, which another token has already", id));
    }
    TokenizerSource::AddedToken added;
    added.special = entry.flag("special", false);
    added.normalized = entry.flag("normalized", !added.special);
    added.strips_left = entry.flag("lstrip", false);
    added.strips_right = entry.flag("rstrip", false);
    added.single_word = entry.flag("single_word", false);
    added.id = id;
    added.text = added.normalized ? normalize(source.normalizer, text) : text;
    if (added.text.size() > max_added_token_bytes) {
      content.refuse(fmt::format("has {} bytes, more than {}", added.text.size(), max_added_token_bytes));
    }
    token.added = true;
    token.special = added.special;
    if (!token.present) {
      token.present = true;
      // As the byte-level decoder does: spelled in symbols for bytes if it can be, itself otherwise.
      token.bytes = bytes_of_symbols(added.text).value_or(added.text);
    }
    source.ids.emplace(text, id);
    if (!added.text.empty()) source.added.push_back(std::move(added));  // an empty one is never found
  });
}

}  // namespace incipit
