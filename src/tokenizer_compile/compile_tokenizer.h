// Compiles a tokenizer as published into the tables that Tokenizer reads in place.
// Source: tokenizer.json, the format of Hugging Face tokenizers; SentencePiece's models; GPT-2's vocab.json and
// merges.txt. docs/tokenizers.md says what is taken from which file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>
#include <vector>

namespace incipit {

/// Whether a model's folder has the files of a tokenizer: tokenizer.json, tokenizer.model, or vocab.json and
/// merges.txt; whether they can be compiled is another question.
bool has_tokenizer(const std::filesystem::path& model_directory);

/// Reads the tokenizer of a model's folder, and from the configuration files beside it, where they are there, which
/// tokens begin and end a text. The same files give the same bytes. Throws Error naming the file and the field for
/// whatever is missing, malformed or not supported.
std::vector<std::byte> compile_tokenizer(const std::filesystem::path& model_directory);

/// The same from the text of a tokenizer.json, called `name` in errors; no token is known to begin or end a text.
std::vector<std::byte> compile_tokenizer_json(std::string_view json, std::string_view name);

/// The same from the bytes of a SentencePiece model.
std::vector<std::byte> compile_sentencepiece(std::string_view model, std::string_view name);

/// The same from the texts of a vocab.json and a merges.txt.
std::vector<std::byte> compile_merges(std::string_view vocabulary, std::string_view merges);

}  // namespace incipit
