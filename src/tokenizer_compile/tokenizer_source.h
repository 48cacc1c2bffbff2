// What the files of a tokenizer come to, before it is laid out as tables. One file here reads one kind of component or
// file; a new normaliser, pre-tokenizer, … is added in its file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer_tables.h"

namespace incipit {

class JsonField;

struct TokenizerSource {
  struct Token {
    std::string bytes;     // what it decodes to
    std::string spelling;  // what it is made from: bytes, or characters
    bool present = false;
    bool special = false;
    bool added = false;
    bool merged = false;  // of the model's vocabulary, and reachable by merging
  };
  struct Merge {
    int32_t left;
    int32_t right;
    uint32_t rank;  // of merge_results; merges of one rank differ in their halves only
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

  MergeUnit unit = MergeUnit::bytes;
  std::vector<Token> tokens;                     // by id; not present: a gap
  int32_t vocabulary_size = 0;                   // entries of the model's vocabulary
  std::unordered_map<std::string, int32_t> ids;  // as spelled in the file: vocabulary entries and added tokens
  std::vector<Merge> merges;
  std::vector<int32_t> merge_results;  // by rank
  bool ignore_merges = false;          // a piece that is a vocabulary entry becomes it, merges or not
  std::array<int32_t, 256> byte_ids;   // -1: the vocabulary lacks the byte
  std::optional<int32_t> unknown_id;
  bool fuse_unknown = false;
  std::vector<AddedToken> added;
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> steps;
  std::vector<int32_t> prefix_ids;
  std::vector<int32_t> suffix_ids;
  uint32_t stripped_count = 0;
  uint8_t stripped_byte = 0;
  bool bare_first_token = false;
  std::optional<int32_t> bos_id;
  std::vector<int32_t> eos_ids;

  TokenizerSource() { byte_ids.fill(-1); }

  /// The token with this id, made if need be; checks nothing.
  Token& token(int32_t id) {
    if (static_cast<size_t>(id) >= tokens.size()) tokens.resize(static_cast<size_t>(id) + 1);
    return tokens[static_cast<size_t>(id)];
  }
  bool has(int32_t id) const {
    return static_cast<size_t>(id) < tokens.size() && tokens[static_cast<size_t>(id)].present;
  }
  std::optional<int32_t> find(std::string_view spelling) const {
    const auto found = ids.find(std::string(spelling));
    return found == ids.end() ? std::nullopt : std::optional(found->second);
  }
};

/// U+2581, which SentencePiece writes for a space.
constexpr std::string_view metaspace = "\u2581";

// Each reads its part of a tokenizer.json, `root`, into `source`, in this order; all throw Error.
void read_normalizer(const JsonField& root, TokenizerSource& source);
/// Sets the unit of merging too.
void read_pre_tokenizer(const JsonField& root, TokenizerSource& source);
void read_model(const JsonField& root, TokenizerSource& source);
void read_added_tokens(const JsonField& root, TokenizerSource& source);
void read_post_processor(const JsonField& root, TokenizerSource& source);
/// Comes last: it gives all tokens their bytes.
void read_decoder(const JsonField& root, TokenizerSource& source);

/// Reads an object of tokens and their ids.
void read_vocabulary(const JsonField& vocabulary, TokenizerSource& source);
/// The halves of a merge written with a space between them; false when it cannot be told what they are.
bool split_merge(std::string_view line, const TokenizerSource& source, std::string_view& left, std::string_view& right);
/// Adds the next merge in rank; false when a half or the whole is not in the vocabulary, and `missing` is set to it.
bool add_merge(std::string_view left, std::string_view right, TokenizerSource& source, std::string& missing);
/// Finds the tokens of single bytes in a byte-level vocabulary; false when it lacks one.
bool find_byte_ids(TokenizerSource& source);

/// Adds one token that `entry` describes as tokenizer.json does ("content", "special", "lstrip", …), with this id.
/// `id_field` is named where the id cannot be.
void add_token(const JsonField& entry, int32_t id, const JsonField& id_field, TokenizerSource& source);
/// Makes the token with this text, if there is one, one that is found in texts, and special.
void make_special(const std::string& text, TokenizerSource& source);
/// The same for a token as configurations write one: plainly, or as an object with its content and how it is found,
/// which then holds.
void make_special(const JsonField& field, TokenizerSource& source);

/// Oniguruma's dialect.
extern const std::string_view gpt2_pattern;
extern const std::string_view llama3_pattern;
extern const std::string_view qwen2_pattern;

/// Decoding as SentencePiece does it: U+2581 is a space and <0x0A> a byte. Gives all tokens their bytes.
void decode_metaspace(TokenizerSource& source);
/// The same for byte-level tokenizers.
void decode_byte_level(TokenizerSource& source);
/// How a Metaspace component, pre-tokenizer or decoder, treats the beginning of a text.
PreTokenizerStepKind metaspace_scheme(const JsonField& field);

/// Reads a SentencePiece model of type BPE, `bytes` of the file `file`. `legacy`: texts begin anew behind special
/// tokens.
struct SentencePieceOptions {
  bool legacy = true;
  bool prefix_space = true;  // false: none, whatever the file says
};
TokenizerSource read_sentencepiece(std::string_view bytes, std::string_view file, const SentencePieceOptions& options);

/// What cuts a text into pieces before merges.txt applies. `by_vocabulary`: what the vocabulary was made with, as its
/// tokens show.
enum class MergesScheme : uint8_t { by_vocabulary, gpt2, llama3, qwen2 };

/// A vocab.json and a merges.txt: their texts, and what errors call them.
struct MergesFiles {
  std::string_view vocabulary, vocabulary_name;
  std::string_view merges, merges_name;
};
/// `prefix_space`: a text that does not begin with a space is given one.
TokenizerSource read_vocabulary_and_merges(const MergesFiles& files, MergesScheme scheme, bool prefix_space);

/// Ids at or beyond this are refused, given so many tokens: a vocabulary may have gaps, but not be mostly gaps.
int64_t id_limit(size_t tokens);

/// An id as a field gives it; throws Error when it is beyond what tables hold.
int32_t read_id(const JsonField& field);

/// Lays a source out as tables. Throws Error naming `file` when it exceeds what they hold.
std::vector<std::byte> write_tables(const TokenizerSource& source, std::string_view file);

}  // namespace incipit
