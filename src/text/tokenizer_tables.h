// The compiled form of a tokenizer: one block of tables that maps in without parsing or copying.
//
// All numbers are little endian; sections begin at multiples of 8. A header names each section's place. Reading is
// safe on any bytes: TokenizerTables checks everything that is small or cheap once, and the rest where it is used.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace incipit {

static_assert(std::endian::native == std::endian::little, "compiled tokenizers are read in place");

/// Changes whenever a table's meaning does, hashing included.
constexpr uint32_t tokenizer_tables_version = 3;
constexpr std::array<char, 8> tokenizer_tables_magic = {'i', 'n', 'c', 'p', 't', 'o', 'k', '\n'};

/// Ids and merge ranks must fit a merge slot.
constexpr uint32_t token_id_bits = 22;
constexpr uint32_t merge_rank_bits = 20;
constexpr uint32_t max_vocabulary = 1u << token_id_bits;
constexpr uint32_t max_merges = (1u << merge_rank_bits) - 1;  // the last rank marks empty slots
/// An added token's text: bounds the work of looking for it.
constexpr uint32_t max_added_token_bytes = 4096;

/// What merging begins with. Stored in compiled tokenizers: never renumber.
enum class MergeUnit : uint32_t {
  bytes = 0,       // GPT-2's kind: a piece's bytes
  characters = 1,  // SentencePiece's kind: its characters; one that the vocabulary lacks becomes bytes or unknown
};
constexpr uint32_t merge_unit_count = 2;

enum class TableSection : uint32_t {
  token_offsets,     // uint32 (vocab_size + 1), into token_bytes
  token_bytes,       // what each id decodes to
  spelling_offsets,  // uint32 (vocab_size + 1), into spelling_bytes
  spelling_bytes,    // what each id is made from; for bytes as units, the same places as the two above
  token_flags,       // uint8 (vocab_size), TokenFlag
  byte_ids,          // int32 (256): the id of each byte alone, -1 where the vocabulary has none
  vocabulary,        // uint32 (slots): ids hashed by their spelling, empty_vocabulary_slot
  merges,            // uint64 (slots): left id, right id, rank; hashed by the two ids, empty_merge_slot
  merge_results,     // uint32 (merges): id by rank
  added_raw,         // AddedTokenRecord: looked for in the text as it came, sorted by text
  added_normalized,  // AddedTokenRecord: looked for in normalised text, sorted by text
  normalizer,        // NormalizerStepRecord, in order
  steps,             // PreTokenizerStepRecord, in order
  strings,           // texts of added tokens and patterns
  prefix_ids,        // int32: put before a text
  suffix_ids,        // int32: put after it
  eos_ids,           // int32, ascending
  count,
};
constexpr size_t table_section_count = static_cast<size_t>(TableSection::count);

struct TableSectionPlace {
  uint64_t offset;  // from the block's start
  uint64_t size;    // bytes
};

struct TokenizerTablesHeader {
  std::array<char, 8> magic;
  uint32_t version;
  uint32_t vocab_size;  // highest id + 1
  uint64_t size;        // of the whole block
  int32_t bos_id;       // -1: unknown
  uint32_t merge_unit;  // MergeUnit
  int32_t unknown_id;   // for a character that can be made of nothing else; -1: it is left out
  uint32_t flags;       // TokenizerFlag
  // A character at which a piece may be cut when another one comes before it, for no token reaches across; 0: none.
  uint32_t cut_before;
  // A decoded text loses so many of these bytes where it begins.
  uint32_t stripped_count;
  uint32_t stripped_byte;
  // Slots to look at before giving up; the longest run in the table as made.
  uint32_t vocabulary_probes;
  uint32_t merge_probes;
  uint32_t longest_direct;  // bytes of the longest token with TokenFlag::direct
  uint32_t reserved;
  std::array<TableSectionPlace, table_section_count> sections;
};

struct TokenizerFlag {
  static constexpr uint32_t fuse_unknown = 1;      // neighbouring unknown characters are one token
  static constexpr uint32_t bare_first_token = 2;  // a decoded text's first token loses its spaces
  static constexpr uint32_t all = 3;
};

struct TokenFlag {
  static constexpr uint8_t special = 1;
  static constexpr uint8_t added = 2;
  /// A piece with exactly this token's spelling becomes this token.
  static constexpr uint8_t direct = 4;
};

struct AddedTokenRecord {
  uint32_t text_offset;  // into strings
  uint32_t text_size;    // 1 to max_added_token_bytes
  int32_t id;
  uint32_t flags;

  static constexpr uint32_t special = 1;
  static constexpr uint32_t strips_left = 2;
  static constexpr uint32_t strips_right = 4;
  static constexpr uint32_t single_word = 8;
};

struct NormalizerStepRecord {
  uint32_t kind;            // NormalizerStepKind
  uint32_t pattern_offset;  // into strings
  uint32_t pattern_size;
  uint32_t content_offset;
  uint32_t content_size;
  uint32_t reserved;
};

struct PreTokenizerStepRecord {
  uint32_t kind;            // PreTokenizerStepKind
  uint32_t behavior;        // SplitBehavior
  uint32_t invert;          // 0 or 1
  uint32_t pattern_offset;  // into strings
  uint32_t pattern_size;
  uint32_t reserved;
};

constexpr uint32_t empty_vocabulary_slot = ~uint32_t{0};
constexpr uint64_t empty_merge_slot = ~uint64_t{0};

constexpr uint64_t merge_key(uint32_t left, uint32_t right) { return uint64_t{left} << token_id_bits | right; }

/// The slot at which the search for a hashed key begins, of `slots` (below 2^32).
constexpr size_t first_slot(uint64_t hash, size_t slots) { return (hash >> 32) * slots >> 32; }
constexpr uint64_t merge_hash(uint64_t key) { return key * 0x9e3779b97f4a7c15u; }
uint64_t bytes_hash(std::string_view bytes);

/// Typed views of a block. The block must outlive it and be 8-byte aligned.
class TokenizerTables {
 public:
  /// Throws Error naming the tokenizer when the block is cut short, of another version or damaged.
  explicit TokenizerTables(std::span<const std::byte> block);

  uint32_t vocab_size() const { return vocab_size_; }
  /// Empty for an id the vocabulary does not have.
  std::string_view token_bytes(int32_t id) const {
    if (static_cast<uint32_t>(id) >= vocab_size_) return {};
    return token_bytes_.substr(token_offsets_[id], token_offsets_[id + 1] - token_offsets_[id]);
  }
  uint8_t token_flags(int32_t id) const { return static_cast<uint32_t>(id) < vocab_size_ ? token_flags_[id] : 0; }
  std::string_view spelling(int32_t id) const {
    return spelling_bytes_.substr(spelling_offsets_[id], spelling_offsets_[id + 1] - spelling_offsets_[id]);
  }
  /// The vocabulary's id with exactly this spelling, -1 for none; added tokens are not looked at.
  int32_t find_spelling(std::string_view spelling) const;

  static constexpr uint32_t no_rank = ~uint32_t{0};
  /// no_rank when the two do not merge; both ids must be of the vocabulary.
  uint32_t merge_rank(int32_t left, int32_t right) const {
    const uint64_t key = merge_key(static_cast<uint32_t>(left), static_cast<uint32_t>(right));
    size_t slot = first_slot(merge_hash(key), merges_.size());
    for (uint32_t probe = 0; probe < merge_probes_; ++probe) {
      const uint64_t entry = merges_[slot];
      if (entry >> merge_rank_bits == key) {
        const uint32_t rank = entry & max_merges;
        return rank < merge_results_.size() ? rank : no_rank;
      }
      if (entry == empty_merge_slot) return no_rank;
      if (++slot == merges_.size()) slot = 0;
    }
    return no_rank;
  }
  int32_t merge_result(uint32_t rank) const { return static_cast<int32_t>(merge_results_[rank]); }
  int32_t byte_id(uint8_t byte) const { return byte_ids_[byte]; }
  uint32_t longest_direct() const { return longest_direct_; }

  std::span<const AddedTokenRecord> added_raw() const { return added_raw_; }
  std::span<const AddedTokenRecord> added_normalized() const { return added_normalized_; }
  std::span<const NormalizerStepRecord> normalizer() const { return normalizer_; }
  std::span<const PreTokenizerStepRecord> steps() const { return steps_; }
  /// `offset` and `size` as in a record of this block.
  std::string_view string(uint32_t offset, uint32_t size) const { return strings_.substr(offset, size); }
  std::span<const int32_t> prefix_ids() const { return prefix_ids_; }
  std::span<const int32_t> suffix_ids() const { return suffix_ids_; }
  std::span<const int32_t> eos_ids() const { return eos_ids_; }
  int32_t bos_id() const { return bos_id_; }
  MergeUnit merge_unit() const { return merge_unit_; }
  int32_t unknown_id() const { return unknown_id_; }
  bool fuse_unknown() const { return (flags_ & TokenizerFlag::fuse_unknown) != 0; }
  bool bare_first_token() const { return (flags_ & TokenizerFlag::bare_first_token) != 0; }
  uint32_t cut_before() const { return cut_before_; }
  uint32_t stripped_count() const { return stripped_count_; }
  char stripped_byte() const { return stripped_byte_; }

 private:
  void check_tokens(std::span<const uint32_t> offsets, std::string_view bytes) const;
  void check_ids(std::span<const int32_t> ids) const;
  void check_added(std::span<const AddedTokenRecord> records) const;

  uint32_t vocab_size_ = 0;
  uint32_t vocabulary_probes_ = 0;
  uint32_t merge_probes_ = 0;
  uint32_t longest_direct_ = 0;
  int32_t bos_id_ = -1;
  MergeUnit merge_unit_ = MergeUnit::bytes;
  int32_t unknown_id_ = -1;
  uint32_t flags_ = 0;
  uint32_t cut_before_ = 0;
  uint32_t stripped_count_ = 0;
  char stripped_byte_ = 0;
  std::span<const uint32_t> token_offsets_;
  std::string_view token_bytes_;
  std::span<const uint32_t> spelling_offsets_;
  std::string_view spelling_bytes_;
  std::span<const uint8_t> token_flags_;
  std::span<const int32_t> byte_ids_;
  std::span<const uint32_t> vocabulary_;
  std::span<const uint64_t> merges_;
  std::span<const uint32_t> merge_results_;
  std::span<const AddedTokenRecord> added_raw_;
  std::span<const AddedTokenRecord> added_normalized_;
  std::span<const NormalizerStepRecord> normalizer_;
  std::span<const PreTokenizerStepRecord> steps_;
  std::string_view strings_;
  std::span<const int32_t> prefix_ids_;
  std::span<const int32_t> suffix_ids_;
  std::span<const int32_t> eos_ids_;
};

}  // namespace incipit
