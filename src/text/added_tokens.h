// Added tokens: those found in the text itself, before it is cut into pieces.
// Source: Hugging Face tokenizers, tokenizer/added_vocabulary.rs.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "text/regex.h"
#include "text/tokenizer_tables.h"

namespace incipit {

/// Looks for one set of added tokens: leftmost first, of those the longest.
class AddedTokenFinder {
 public:
  /// `records` sorted by their texts (as unsigned bytes), of `tables`, which must outlive it.
  AddedTokenFinder(const TokenizerTables& tables, std::span<const AddedTokenRecord> records);

  struct Found {
    TextRange range;  // with the white space that the token takes in
    int32_t id;
  };
  /// The first one in `text` at or after `position`, of which everything before is already used up. Special tokens
  /// are passed over unless `specials`.
  std::optional<Found> find(std::string_view text, size_t position, bool specials) const;

  bool empty() const { return records_.empty(); }
  /// The token with exactly this text, or nullptr.
  const AddedTokenRecord* find_exact(std::string_view text) const;

 private:
  const AddedTokenRecord* longest_at(std::string_view text) const;
  std::string_view text_of(const AddedTokenRecord& record) const {
    return tables_.string(record.text_offset, record.text_size);
  }

  const TokenizerTables& tables_;
  std::span<const AddedTokenRecord> records_;
  std::array<uint32_t, 257> starts_{};  // where the records with each first byte begin
};

}  // namespace incipit
