#include "import/hf/chat_template.h"

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/paths.h"
#include "import/hf/small_file.h"

namespace incipit {
namespace {

/// A configuration file; empty where there is none.
boost::json::object read_object(const std::filesystem::path& path) {
  if (!is_there(path)) return {};
  boost::json::value parsed = parse_json(read_text_file(path, small_file), path.string());
  if (!parsed.is_object()) {
    throw Error(path.string(), fmt::format("holds {} where a JSON object is expected", kind_name(parsed)));
  }
  return std::move(parsed.get_object());
}

/// A token is written as its text, or as an object with its content.
std::optional<std::string> token_text(const boost::json::value& token) {
  const boost::json::value* text = &token;
  if (const boost::json::object* object = token.if_object()) text = object->if_contains("content");
  if (text == nullptr || !text->is_string()) return std::nullopt;
  return text_of(text->get_string());
}

/// What Transformers' tokenizer classes call their tokens where no file does.
struct ClassTokens {
  std::string_view name;
  std::array<std::pair<std::string_view, std::string_view>, 7> tokens;
};
constexpr ClassTokens class_tokens[] = {
    {"LlamaTokenizer", {{{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}}}},
    {"Qwen2Tokenizer",
     {{{"eos_token", "<|endoftext|>"}, {"unk_token", "<|endoftext|>"}, {"pad_token", "<|endoftext|>"}}}},
    {"GPT2Tokenizer",
     {{{"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}, {"unk_token", "<|endoftext|>"}}}},
    {"GPTNeoXTokenizer",
     {{{"bos_token", "<|endoftext|>"},
       {"eos_token", "<|endoftext|>"},
       {"unk_token", "<|endoftext|>"},
       {"pad_token", "<|padding|>"}}}},
    {"GemmaTokenizer",
     {{{"bos_token", "<bos>"},
       {"eos_token", "<eos>"},
       {"unk_token", "<unk>"},
       {"pad_token", "<pad>"},
       {"mask_token", "<mask>"}}}},
    {"CohereTokenizer",
     {{{"bos_token", "<BOS_TOKEN>"},
       {"eos_token", "<|END_OF_TURN_TOKEN|>"},
       {"unk_token", "<UNK>"},
       {"sep_token", "<SEP>"},
       {"pad_token", "<PAD>"},
       {"cls_token", "<CLS>"},
       {"mask_token", "<MASK_TOKEN>"}}}},
};

void add_tokens_of_class(const boost::json::object& config, boost::json::object& tokens) {
  const boost::json::value* title = config.if_contains("tokenizer_class");
  if (title == nullptr || !title->is_string()) return;
  std::string name = text_of(title->get_string());
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  for (const ClassTokens& one : class_tokens) {
    if (one.name != name) continue;
    for (const auto& [key, text] : one.tokens) {
      if (!key.empty()) tokens[{key.data(), key.size()}] = std::string(text);
    }
  }
}

/// The tokens among these members. One that is null is not set, whatever was known of it before.
void add_tokens(const boost::json::object& members, boost::json::object& tokens) {
  for (const auto& [key, member] : members) {
    if (!key.ends_with("_token")) continue;
    if (const auto text = token_text(member)) {
      tokens[key] = *text;
    } else if (member.is_null()) {
      tokens.erase(key);
    }
  }
}

}  // namespace

std::string read_chat_template(const std::filesystem::path& directory) {
  const std::filesystem::path jinja = directory / "chat_template.jinja";
  if (is_there(jinja)) return read_text_file(jinja, small_file);
  const std::filesystem::path path = directory / "tokenizer_config.json";
  const boost::json::object config = read_object(path);
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
  const boost::json::object config = read_object(directory / "tokenizer_config.json");
  boost::json::object tokens;
  add_tokens_of_class(config, tokens);
  add_tokens(config, tokens);
  for (const char* name : {"extra_special_tokens", "model_specific_special_tokens"}) {
    const boost::json::value* named = config.if_contains(name);
    if (named != nullptr && named->is_object()) add_tokens(named->get_object(), tokens);
  }
  // The older file, which the newer form of the other one replaces.
  if (!config.contains("added_tokens_decoder")) add_tokens(read_object(directory / "special_tokens_map.json"), tokens);
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
