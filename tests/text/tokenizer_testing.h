// What the tests of tokenizers share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace incipit {

inline std::filesystem::path source_path(std::string_view relative) {
  return std::filesystem::path(INCIPIT_SOURCE_DIR) / relative;
}

/// Opens tables and keeps them.
std::shared_ptr<const Tokenizer> open_tables(std::vector<std::byte> tables);
/// Compiles the text of a tokenizer.json and opens it.
std::shared_ptr<const Tokenizer> tokenizer_from_json(std::string_view json);
/// models/classics-16m, compiled once.
std::shared_ptr<const Tokenizer> classics_tokenizer();

/// A small tokenizer.json: 256 bytes, a few merges, added tokens of each kind, a Split and ByteLevel.
std::string small_tokenizer_json();

/// Valid UTF-8 of about `length` characters from many scripts, with runs of spaces, digits and line ends.
std::string random_text(std::mt19937& random, size_t length);
/// Bytes that mostly are UTF-8 and sometimes broken.
std::string random_bytes(std::mt19937& random, size_t length);

}  // namespace incipit
