// What the components of a tokenizer.json come to, before it is laid out as tables. One file here reads one kind of
// component; a new normaliser, pre-tokenizer, … is added in its file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/normalizer.h"
#include "text/pre_tokenizer.h"

namespace incipit {

class JsonField;

struct TokenizerSource {
  struct Token {
    std::string bytes;  // what it decodes to
    bool present = false;
    bool special = false;
    bool added = false;
    bool byte_level = false;  // of the model's vocabulary, and reachable from bytes
  };
  struct Merge {
    int32_t left;
    int32_t right;
    int32_t result;
  };
  struct AddedToken {
    std::string text;  // normalised when `normalized`
    int32_t id = 0;
    bool special = false;
    bool normalized = false;  // looked for after normalisation
    bool strips_left = false;
    bool strips_right = false;
    bool single_word = false;
  };

  std::vector<Token> tokens;                     // by id; not present: a gap
  std::unordered_map<std::string, int32_t> ids;  // as spelled in the file: vocabulary entries and added tokens
  std::vector<Merge> merges;                     // by rank
  bool ignore_merges = false;                    // a piece that is a vocabulary entry becomes it, merges or not
  std::array<int32_t, 256> byte_ids{};           // -1: the vocabulary lacks the byte
  std::vector<AddedToken> added;
  NormalizerKind normalizer = NormalizerKind::none;
  std::vector<PreTokenizerStep> steps;
  std::vector<int32_t> prefix_ids;
  std::vector<int32_t> suffix_ids;
  std::optional<int32_t> bos_id;
  std::vector<int32_t> eos_ids;

  /// The token with this id, made if need be; checks nothing.
  Token& token(int32_t id) {
    if (static_cast<size_t>(id) >= tokens.size()) tokens.resize(static_cast<size_t>(id) + 1);
    return tokens[static_cast<size_t>(id)];
  }
};

// Each reads its part of the document `root` into `source`, in this order; all throw Error.
void read_normalizer(const JsonField& root, TokenizerSource& source);
void read_pre_tokenizer(const JsonField& root, TokenizerSource& source);
void read_model(const JsonField& root, TokenizerSource& source);
void read_added_tokens(const JsonField& root, TokenizerSource& source);
void read_post_processor(const JsonField& root, TokenizerSource& source);
void read_decoder(const JsonField& root, TokenizerSource& source);

/// Ids at or beyond this are refused, given so many tokens: a vocabulary may have gaps, but not be mostly gaps.
int64_t id_limit(size_t tokens);

/// An id as a field gives it; throws Error when it is beyond what tables hold.
int32_t read_id(const JsonField& field);

/// Lays a source out as tables. Throws Error naming `file` when it exceeds what they hold.
std::vector<std::byte> write_tables(const TokenizerSource& source, std::string_view file);

}  // namespace incipit
