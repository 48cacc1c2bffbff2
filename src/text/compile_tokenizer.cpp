#include "text/compile_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/compile/json_field.h"
#include "text/compile/tokenizer_source.h"

namespace incipit {
namespace {

TokenizerSource read_tokenizer(std::string_view json, std::string_view name) {
  const boost::json::value document = parse_json(json, name);
  const JsonField root(document, name, "");
  TokenizerSource source;
  read_normalizer(root, source);
  read_pre_tokenizer(root, source);
  read_model(root, source);
  read_added_tokens(root, source);
  read_post_processor(root, source);
  read_decoder(root, source);
  return source;
}

/// The ids that a configuration's `name` gives: one, several or none.
std::vector<int32_t> ids_in(const JsonField& root, std::string_view name, const TokenizerSource& source) {
  std::vector<int32_t> ids;
  const auto read_one = [&](const JsonField& field) {
    const int32_t id = read_id(field);
    if (static_cast<size_t>(id) >= source.tokens.size() || !source.tokens[static_cast<size_t>(id)].present) {
      field.refuse(fmt::format("is {}, which no token of tokenizer.json has", id));
    }
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

/// The id of a token that a configuration's `name` spells out, plainly or as an object with its content. One that
/// the vocabulary lacks is nothing: the model cannot have learned it.
std::optional<int32_t> id_by_text(const JsonField& root, std::string_view name, const TokenizerSource& source) {
  const auto field = root.find(name);
  if (!field) return std::nullopt;
  const std::string_view text = field->is_object() ? field->at("content").string() : field->string();
  const auto found = source.ids.find(std::string(text));
  return found == source.ids.end() ? std::nullopt : std::optional(found->second);
}

/// Calls `read` with the document `name` of the folder, if there is one.
template <typename Read>
void with_optional_file(const std::filesystem::path& directory, std::string_view name, const Read& read) {
  const std::filesystem::path path = directory / name;
  if (!std::filesystem::exists(path)) return;
  const boost::json::value document = parse_json(read_text_file(path), path.string());
  read(JsonField(document, path.native(), ""));
}

void read_first_and_last_ids(const std::filesystem::path& directory, TokenizerSource& source) {
  std::vector<int32_t> bos;
  with_optional_file(directory, "tokenizer_config.json", [&](const JsonField& root) {
    if (const auto id = id_by_text(root, "bos_token", source)) bos.push_back(*id);
    if (const auto id = id_by_text(root, "eos_token", source)) source.eos_ids.push_back(*id);
  });
  for (const std::string_view name : {"generation_config.json", "config.json"}) {
    with_optional_file(directory, name, [&](const JsonField& root) {
      const std::vector<int32_t> first = ids_in(root, "bos_token_id", source);
      const std::vector<int32_t> last = ids_in(root, "eos_token_id", source);
      bos.insert(bos.end(), first.begin(), first.end());
      source.eos_ids.insert(source.eos_ids.end(), last.begin(), last.end());
    });
  }
  if (!bos.empty()) source.bos_id = bos.front();  // the tokenizer's own word comes first
  std::sort(source.eos_ids.begin(), source.eos_ids.end());
  source.eos_ids.erase(std::unique(source.eos_ids.begin(), source.eos_ids.end()), source.eos_ids.end());
}

}  // namespace

std::vector<std::byte> compile_tokenizer(const std::filesystem::path& model_directory) {
  const std::filesystem::path path = model_directory / "tokenizer.json";
  if (!std::filesystem::exists(path)) {
    throw Error(path.string(), "it is not there",
                "save it beside the model with transformers' AutoTokenizer.save_pretrained");
  }
  TokenizerSource source = read_tokenizer(read_text_file(path), path.string());
  read_first_and_last_ids(model_directory, source);
  return write_tables(source, path.string());
}

std::vector<std::byte> compile_tokenizer_json(std::string_view json, std::string_view name) {
  return write_tables(read_tokenizer(json, name), name);
}

}  // namespace incipit
