// Compiles a tokenizer as published into the tables that Tokenizer reads in place.
// Source: tokenizer.json, the format of Hugging Face tokenizers.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>
#include <vector>

namespace incipit {

/// Reads tokenizer.json of a model's folder, and from tokenizer_config.json, generation_config.json and config.json,
/// where they are there, which tokens begin and end a text. The same files give the same bytes. Throws Error naming
/// the file and the field for whatever is missing, malformed or not supported.
std::vector<std::byte> compile_tokenizer(const std::filesystem::path& model_directory);

/// The same from the text of a tokenizer.json, called `name` in errors; no token is known to begin or end a text.
std::vector<std::byte> compile_tokenizer_json(std::string_view json, std::string_view name);

}  // namespace incipit
