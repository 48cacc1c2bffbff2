// Added tokens, as tokenizer.json's `added_tokens` and tokenizer_config.json's `added_tokens_decoder` describe them.
#include <fmt/format.h>

#include <algorithm>

#include "text/compile/json_field.h"
#include "text/compile/tokenizer_source.h"
#include "text/tokenizer_tables.h"

namespace incipit {

void add_token(const JsonField& entry, int32_t id, const JsonField& id_field, TokenizerSource& source) {
  const JsonField content = entry.at("content");
  const std::string text(content.string());
  const std::optional<int32_t> known = source.find(text);
  if (known && *known != id) {
    id_field.refuse(fmt::format("is {}, but \"{}\" already has the id {}", id, text, *known));
  }
  TokenizerSource::Token& token = source.token(id);
  if (token.added || (token.present && !known)) {
    id_field.refuse(fmt::format("is {}, which another token has already", id));
  }
  TokenizerSource::AddedToken added;
  added.special = entry.flag("special", false);
  added.normalized = entry.flag("normalized", !added.special);
  added.strips_left = entry.flag("lstrip", false);
  added.strips_right = entry.flag("rstrip", false);
  added.single_word = entry.flag("single_word", false);
  added.id = id;
  added.text = added.normalized ? Normalizer(source.normalizer, content.file()).normalize(text, false) : text;
  if (added.text.size() > max_added_token_bytes) {
    content.refuse(fmt::format("has {} bytes, more than {}", added.text.size(), max_added_token_bytes));
  }
  token.present = true;
  token.added = true;
  token.special = added.special;
  source.ids.emplace(text, id);
  if (!added.text.empty()) source.added.push_back(std::move(added));  // an empty one is never found
}

void make_special(const std::string& text, TokenizerSource& source) {
  const std::optional<int32_t> id = source.find(text);
  if (!id || text.empty()) return;
  TokenizerSource::Token& token = source.token(*id);
  token.special = true;
  if (token.added) {
    for (TokenizerSource::AddedToken& added : source.added) added.special |= added.id == *id;
    return;
  }
  token.added = true;
  source.added.push_back({text, *id, true, false, false, false, false});
}

void read_added_tokens(const JsonField& root, TokenizerSource& source) {
  const auto list = root.find("added_tokens");
  if (!list) return;
  const int64_t limit = id_limit(source.tokens.size());
  list->each([&](const JsonField& entry) {
    const JsonField id = entry.at("id");
    add_token(entry, static_cast<int32_t>(id.integer(0, limit - 1)), id, source);
  });
}

}  // namespace incipit
