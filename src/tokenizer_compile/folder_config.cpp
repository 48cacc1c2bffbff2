#include "tokenizer_compile/folder_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "base/paths.h"

namespace incipit {
namespace {

/// A token as configurations write one: plainly or as an object with its content.
std::string_view token_text(const JsonField& field) {
  return field.is_object() ? field.at("content").string() : field.string();
}

/// The id of a token that a configuration's `name` spells out. One that the vocabulary lacks is nothing: the model
/// cannot have learned it.
std::optional<int32_t> id_by_text(const JsonField& root, std::string_view name, const TokenizerSource& source) {
  const auto field = root.find(name);
  return field ? source.find(token_text(*field)) : std::nullopt;
}

/// The ids that a configuration's `name` gives: one, several or none.
std::vector<int32_t> ids_in(const JsonField& root, std::string_view name, const TokenizerSource& source,
                            std::string_view tokenizer_file) {
  std::vector<int32_t> ids;
  const auto read_one = [&](const JsonField& field) {
    const int32_t id = read_id(field);
    if (!source.has(id)) field.refuse(fmt::format("is {}, which no token of {} has", id, tokenizer_file));
    ids.push_back(id);
  };
  if (const auto field = root.find(name)) {
    if (field->is_array()) {
      field->each(read_one);
    } else {
      read_one(*field);
    }
  }
  return ids;
}

void make_listed_special(const JsonField& root, TokenizerSource& source) {
  for (const std::string_view name :
       {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"}) {
    if (const auto field = root.find(name)) make_special(*field, source);
  }
  for (const std::string_view name : {"additional_special_tokens", "extra_special_tokens"}) {
    const auto list = root.find(name);
    if (!list) continue;
    const auto make = [&](const JsonField& field) { make_special(field, source); };
    if (const boost::json::object* named = list->value().if_object()) {  // by what a model calls them
      for (const auto& [key, value] : *named) make(JsonField(value, list->file(), list->path()));
    } else {
      list->each(make);
    }
  }
}

/// The id of the next token that is added: behind the vocabulary and all that were. Source: added_vocabulary.rs of
/// Hugging Face tokenizers.
int32_t next_added_id(const TokenizerSource& source) {
  int32_t next = source.vocabulary_size;
  for (const TokenizerSource::AddedToken& added : source.added) next = std::max(next, added.id + 1);
  return next;
}

}  // namespace

FolderConfig::FolderConfig(const std::filesystem::path& directory) {
  const auto read = [&](const char* name, std::unique_ptr<const Document>& document) {
    const std::filesystem::path path = directory / name;
    if (!is_there(path)) return;
    document =
        std::make_unique<const Document>(Document{path.string(), parse_json(read_text_file(path), path.string())});
  };
  read("tokenizer_config.json", tokenizer_);
  read("special_tokens_map.json", special_tokens_);
  read("added_tokens.json", added_tokens_);
  read("generation_config.json", generation_);
  read("config.json", model_);
}

bool FolderConfig::flag(std::string_view name, bool fallback) const {
  return tokenizer_ ? tokenizer_->root().flag(name, fallback) : fallback;
}

std::string FolderConfig::tokenizer_class() const {
  const auto field = tokenizer_ ? tokenizer_->root().find("tokenizer_class") : std::nullopt;
  return field ? std::string(field->string()) : std::string();
}

void FolderConfig::refuse_class(std::string_view remedy) const {
  const JsonField field = tokenizer_->root().at("tokenizer_class");
  field.refuse(fmt::format("is {}, whose pre-tokenizer is not known", field.string()), remedy);
}

bool FolderConfig::has_decoder() const {
  return tokenizer_ != nullptr && tokenizer_->root().find("added_tokens_decoder").has_value();
}

void FolderConfig::add_tokens(TokenizerSource& source, AddedTokenIds ids) const {
  if (has_decoder()) add_listed(tokenizer_->root().at("added_tokens_decoder"), source, ids);
  const bool complete = has_decoder() && ids == AddedTokenIds::of_the_tokenizer;
  if (added_tokens_ != nullptr && !complete) add_named(added_tokens_->root(), source, ids);
  for (const Document* document : {tokenizer_.get(), special_tokens_.get()}) {
    if (document != nullptr) make_listed_special(document->root(), source);
  }
}

/// An object of ids and what is known of their tokens.
void FolderConfig::add_listed(const JsonField& list, TokenizerSource& source, AddedTokenIds ids) const {
  const int64_t limit = id_limit(source.tokens.size());
  const boost::json::object* object = list.value().if_object();
  if (object == nullptr) list.refuse("is not an object");
  std::map<int32_t, JsonField> entries;  // in the order of their ids
  for (const auto& [key, value] : *object) {
    const std::string_view number(key.data(), key.size());
    int32_t id = -1;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), id);
    if (error != std::errc() || end != number.data() + number.size() || id < 0 || id >= limit) {
      list.refuse(fmt::format("has the id \"{}\", no integer from 0 to {}", number, limit - 1));
    }
    entries.emplace(id, JsonField(value, list.file(), fmt::format("{}.{}", list.path(), number)));
  }
  for (const auto& [given, entry] : entries) {
    int32_t id = given;
    bool special = false;
    if (ids == AddedTokenIds::of_the_tokenizer) {
      const std::string_view content = entry.at("content").string();
      if (content.empty()) continue;
      id = source.find(content).value_or(next_added_id(source));
      special = source.token(id).special;  // once special, always
    }
    // What it says of a token goes before what the tokenizer's own file made of it.
    std::erase_if(source.added, [&](const TokenizerSource::AddedToken& added) { return added.id == id; });
    source.token(id).added = false;
    add_token(entry, id, entry, source);
    if (special) make_special(std::string(entry.at("content").string()), source);
  }
}

/// An object of tokens and their ids.
void FolderConfig::add_named(const JsonField& root, TokenizerSource& source, AddedTokenIds ids) const {
  const int64_t limit = id_limit(source.tokens.size());
  const boost::json::object* object = root.value().if_object();
  if (object == nullptr) root.refuse("is not an object");
  std::map<int32_t, std::string> entries;
  for (const auto& [key, value] : *object) {
    const std::string text(key.data(), key.size());
    entries.emplace(static_cast<int32_t>(JsonField(value, root.file(), text).integer(0, limit - 1)), text);
  }
  for (const auto& [given, text] : entries) {
    const std::optional<int32_t> known = source.find(text);
    const bool own = ids == AddedTokenIds::of_the_tokenizer;
    if (known && (own || *known == given)) continue;  // another file has said more of it
    const boost::json::value entry = {{"content", text}};
    const JsonField field(entry, root.file(), text);
    add_token(field, own ? next_added_id(source) : given, field, source);
  }
}

FolderConfig::Ends FolderConfig::named_ends(const TokenizerSource& source) const {
  const Document *first = special_tokens_.get(), *second = tokenizer_.get();
  if (has_decoder()) std::swap(first, second);
  const auto named = [&](std::string_view name) {
    std::optional<int32_t> id;
    if (first != nullptr) id = id_by_text(first->root(), name, source);
    if (!id && second != nullptr) id = id_by_text(second->root(), name, source);
    return id;
  };
  return {named("bos_token"), named("eos_token")};
}

void FolderConfig::find_first_and_last(TokenizerSource& source, std::string_view tokenizer_file) const {
  std::vector<int32_t> first, last;
  const Ends named = named_ends(source);
  if (named.bos) first.push_back(*named.bos);
  if (named.eos) last.push_back(*named.eos);
  for (const Document* document : {generation_.get(), model_.get()}) {
    if (document == nullptr) continue;
    const std::vector<int32_t> begins = ids_in(document->root(), "bos_token_id", source, tokenizer_file);
    const std::vector<int32_t> ends = ids_in(document->root(), "eos_token_id", source, tokenizer_file);
    first.insert(first.end(), begins.begin(), begins.end());
    last.insert(last.end(), ends.begin(), ends.end());
  }
  if (!first.empty()) source.bos_id = first.front();  // the tokenizer's own word comes first
  if (last.empty()) return;
  std::sort(last.begin(), last.end());
  last.erase(std::unique(last.begin(), last.end()), last.end());
  source.eos_ids = std::move(last);
}

}  // namespace incipit
