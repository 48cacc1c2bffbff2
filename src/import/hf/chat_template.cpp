#include "import/hf/chat_template.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace incipit {
namespace {

constexpr size_t small_file = size_t{64} << 20;

/// tokenizer_config.json; empty where there is none.
boost::json::object read_tokenizer_config(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  boost::json::value parsed = parse_json(read_text_file(path, small_file), path.string());
  if (!parsed.is_object()) {
    throw Error(path.string(), fmt::format("holds {} where a JSON object is expected", kind_name(parsed)));
  }
  return std::move(parsed.get_object());
}

std::string text_of(const boost::json::string& text) { return {text.data(), text.size()}; }

/// A token is written as its text, or as an object with its content.
std::optional<std::string> token_text(const boost::json::value& token) {
  const boost::json::value* text = &token;
  if (const boost::json::object* object = token.if_object()) text = object->if_contains("content");
  if (text == nullptr || !text->is_string()) return std::nullopt;
  return text_of(text->get_string());
}

}  // namespace

std::string read_chat_template(const std::filesystem::path& directory) {
  const std::filesystem::path jinja = directory / "chat_template.jinja";
  if (std::filesystem::exists(jinja)) return read_text_file(jinja, small_file);
  const std::filesystem::path path = directory / "tokenizer_config.json";
  const boost::json::object config = read_tokenizer_config(path);
  const boost::json::value* value = config.if_contains("chat_template");
  if (value == nullptr || value->is_null()) return {};
  if (const boost::json::string* text = value->if_string()) return text_of(*text);
  const boost::json::array* several = value->if_array();
  if (several == nullptr) {
    throw Error(path.string(), fmt::format("chat_template is {}", kind_name(*value)), "it must be a string");
  }
  for (const boost::json::value& item : *several) {
    const boost::json::object* entry = item.if_object();
    if (entry == nullptr) continue;
    const boost::json::value* title = entry->if_contains("name");
    const boost::json::value* source = entry->if_contains("template");
    if (title != nullptr && title->is_string() && title->get_string() == "default" && source != nullptr &&
        source->is_string()) {
      return text_of(source->get_string());
    }
  }
  return {};
}

boost::json::object read_special_tokens(const std::filesystem::path& directory) {
  const boost::json::object config = read_tokenizer_config(directory / "tokenizer_config.json");
  boost::json::object tokens;
  for (const std::string_view name :
       {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
    const boost::json::value* token = config.if_contains({name.data(), name.size()});
    if (token == nullptr) continue;
    if (const auto text = token_text(*token)) tokens[{name.data(), name.size()}] = *text;
  }
  const boost::json::value* more = config.if_contains("additional_special_tokens");
  if (more != nullptr && more->is_array() && !more->get_array().empty()) {
    boost::json::array texts;
    for (const boost::json::value& token : more->get_array()) {
      if (const auto text = token_text(token)) texts.emplace_back(*text);
    }
    tokens["additional_special_tokens"] = std::move(texts);
  }
  return tokens;
}

}  // namespace incipit
