// What a published model says about conversations: chat_template.jinja and tokenizer_config.json.
#pragma once

#include <boost/json/fwd.hpp>
#include <filesystem>
#include <string>

namespace incipit {

/// Jinja source: chat_template.jinja, else tokenizer_config.json's chat_template (of several, the one named "default");
/// empty where there is none. Throws Error naming the file for what is malformed.
std::string read_chat_template(const std::filesystem::path& directory);

/// The texts of tokenizer_config.json's special tokens, which templates are given as variables: bos_token, eos_token …
/// as far as it names them.
boost::json::object read_special_tokens(const std::filesystem::path& directory);

}  // namespace incipit
