// What a published model says about conversations: chat_template.jinja, tokenizer_config.json and
// special_tokens_map.json.
#pragma once

#include <boost/json/fwd.hpp>
#include <filesystem>
#include <string>

namespace incipit {

/// Jinja source: chat_template.jinja, else tokenizer_config.json's chat_template (of several, the one named "default");
/// empty where there is none. Throws Error naming the file for what is malformed.
std::string read_chat_template(const std::filesystem::path& directory);

/// The texts of the special tokens that templates are given as variables, as Transformers 5 has them: bos_token,
/// eos_token and others, as far as tokenizer_config.json, special_tokens_map.json or the tokenizer's class sets them.
boost::json::object read_special_tokens(const std::filesystem::path& directory);

}  // namespace incipit
