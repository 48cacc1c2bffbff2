// Byte-pair encoding of one piece: its bytes or characters are merged pairwise, lowest rank first, leftmost among
// equals. Source: Sennrich et al. 2016 (arXiv:1508.07909); Hugging Face tokenizers, models/bpe/{model,word}.rs, for
// the order and for what becomes of characters that a vocabulary lacks.
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

/// Appends the ids of `piece` (below 4 GiB). A byte or character that the vocabulary has no way to write is left out,
/// as in the source. O(n log n) in the piece's bytes.
void merge_piece(const TokenizerTables& tables, std::string_view piece, MergeScratch& scratch,
                 std::vector<int32_t>& ids);

/// The same, but looks words up whole before it merges.
void encode_piece(const TokenizerTables& tables, std::string_view piece, MergeScratch& scratch,
                  std::vector<int32_t>& ids);

}  // namespace incipit
