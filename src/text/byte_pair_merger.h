// Byte-pair encoding of one piece: its bytes are merged pairwise, lowest rank first, leftmost among equals.
// Source: Sennrich et al. 2016 (arXiv:1508.07909); Hugging Face tokenizers, models/bpe/word.rs, for the order.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/tokenizer_tables.h"

namespace incipit {

/// What one thread needs while merging.
struct MergeScratch {
  struct Symbol {
    int32_t id;  // -1: merged into the one before
    uint32_t previous;
    uint32_t next;
  };
  std::vector<Symbol> symbols;
  std::vector<uint64_t> heap;  // rank and position of a pair's left symbol
  std::vector<int32_t> ids;
  std::vector<uint32_t> ranks;
};

/// Appends the ids of `piece` (below 4 GiB). A byte that the vocabulary lacks is left out, as in the source.
/// O(n log n) in the piece's bytes.
void merge_bytes(const TokenizerTables& tables, std::string_view piece, MergeScratch& scratch,
                 std::vector<int32_t>& ids);

/// The same, but tries the whole piece as one token first.
inline void encode_piece(const TokenizerTables& tables, std::string_view piece, MergeScratch& scratch,
                         std::vector<int32_t>& ids) {
  if (piece.size() <= tables.longest_direct()) {
    const int32_t id = tables.find_bytes(piece);
    if (id >= 0 && (tables.token_flags(id) & TokenFlag::direct) != 0) {
      ids.push_back(id);
      return;
    }
  }
  merge_bytes(tables, piece, scratch, ids);
}

}  // namespace incipit
