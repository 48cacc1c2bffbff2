#include "text/compile/folder_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/file.h"
#include "base/json.h"

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
    if (const auto field = root.find(name)) make_special(std::string(token_text(*field)), source);
  }
  for (const std::string_view name : {"additional_special_tokens", "extra_special_tokens"}) {
    const auto list = root.find(name);
    if (!list || !list->is_array()) continue;
    list->each([&](const JsonField& field) { make_special(std::string(token_text(field)), source); });
  }
}

}  // namespace

FolderConfig::FolderConfig(const std::filesystem::path& directory) {
  const auto read = [&](const char* name, std::unique_ptr<const Document>& document) {
    const std::filesystem::path path = directory / name;
    if (!std::filesystem::exists(path)) return;
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

void FolderConfig::add_tokens(TokenizerSource& source) const {
  const int64_t limit = id_limit(source.tokens.size());
  if (const auto list = tokenizer_ ? tokenizer_->root().find("added_tokens_decoder") : std::nullopt) {
    const boost::json::object* object = list->value().if_object();
    if (object == nullptr) list->refuse("is not an object");
    for (const auto& [key, value] : *object) {
      const std::string_view number(key.data(), key.size());
      const JsonField entry(value, list->file(), fmt::format("{}.{}", list->path(), number));
      int32_t id = -1;
      const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), id);
      if (error != std::errc() || end != number.data() + number.size() || id < 0 || id >= limit) {
        list->refuse(fmt::format("has the id \"{}\", no integer from 0 to {}", number, limit - 1));
      }
      // What it says of a token goes before what the tokenizer's own file made of it.
      std::erase_if(source.added, [&](const TokenizerSource::AddedToken& added) { return added.id == id; });
      source.token(id).added = false;
      add_token(entry, id, entry, source);
    }
  }
  if (added_tokens_) {
    const JsonField root = added_tokens_->root();
    const boost::json::object* object = root.value().if_object();
    if (object == nullptr) root.refuse("is not an object");
    for (const auto& [key, value] : *object) {
      const std::string text(key.data(), key.size());
      const JsonField field(value, root.file(), text);
      const auto id = static_cast<int32_t>(field.integer(0, limit - 1));
      if (source.has(id) && source.find(text) == id) continue;  // the other file has said more of it
      const boost::json::value entry = {{"content", text}};
      add_token(JsonField(entry, root.file(), text), id, field, source);
    }
  }
  for (const Document* document : {tokenizer_.get(), special_tokens_.get()}) {
    if (document != nullptr) make_listed_special(document->root(), source);
  }
}

void FolderConfig::find_first_and_last(TokenizerSource& source, std::string_view tokenizer_file) const {
  std::vector<int32_t> first, last;
  for (const Document* document : {tokenizer_.get(), special_tokens_.get()}) {
    if (document == nullptr || !first.empty() || !last.empty()) continue;
    if (const auto id = id_by_text(document->root(), "bos_token", source)) first.push_back(*id);
    if (const auto id = id_by_text(document->root(), "eos_token", source)) last.push_back(*id);
  }
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
