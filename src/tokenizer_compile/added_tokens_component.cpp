// Added tokens, as tokenizer.json's `added_tokens` and tokenizer_config.json's `added_tokens_decoder` describe them.
#include <fmt/format.h>

#include <algorithm>

#include "text/tokenizer_tables.h"
#include "tokenizer_compile/json_field.h"
#include "tokenizer_compile/tokenizer_source.h"

namespace incipit {
namespace {

/// How `entry` says that its token is found.
TokenizerSource::AddedToken read_added(const JsonField& entry, int32_t id, bool special,
                                       const TokenizerSource& source) {
  const JsonField content = entry.at("content");
  TokenizerSource::AddedToken added;
  added.id = id;
  added.special = special;
  added.normalized = entry.flag("normalized", !special);
  added.strips_left = entry.flag("lstrip", false);
  added.strips_right = entry.flag("rstrip", false);
  added.single_word = entry.flag("single_word", false);
  added.text = content.string();
  if (added.normalized) {
    added.text = Normalizer(source.normalizer, content.file()).normalize(added.text, false);
  }
  if (added.text.size() > max_added_token_bytes) {
    content.refuse(fmt::format("has {} bytes, more than {}", added.text.size(), max_added_token_bytes));
  }
  return added;
}

}  // namespace

void add_token(const JsonField& entry, int32_t id, const JsonField& id_field, TokenizerSource& source) {
  const std::string text(entry.at("content").string());
  const std::optional<int32_t> known = source.find(text);
  if (known && *known != id) {
    id_field.refuse(fmt::format("is {}, but \"{}\" already has the id {}", id, text, *known));
  }
  TokenizerSource::Token& token = source.token(id);
  if (token.added || (token.present && !known)) {
    id_field.refuse(fmt::format("is {}, which another token has already", id));
  }
  TokenizerSource::AddedToken added = read_added(entry, id, entry.flag("special", false), source);
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

void make_special(const JsonField& field, TokenizerSource& source) {
  const std::string text(field.is_object() ? field.at("content").string() : field.string());
  const std::optional<int32_t> id = source.find(text);
  if (id && field.is_object() && !source.token(*id).added) {
    TokenizerSource::AddedToken added = read_added(field, *id, true, source);
    source.token(*id).added = true;
    if (!added.text.empty()) source.added.push_back(std::move(added));
  }
  make_special(text, source);
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
