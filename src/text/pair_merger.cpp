#include "text/pair_merger.h"

#include <algorithm>
#include <functional>
#include <string>

#include "base/utf8.h"

namespace incipit {
namespace {

// Up to here looking at every pair for each merge is faster than keeping a heap.
constexpr size_t scan_limit = 64;
constexpr uint32_t no_rank = TokenizerTables::no_rank;

/// Merges scratch.ids in place, choosing each merge by a scan.
void merge_by_scan(const TokenizerTables& tables, MergeScratch& scratch) {
  std::vector<int32_t>& ids = scratch.ids;
  std::vector<uint32_t>& ranks = scratch.ranks;  // of the pair that begins at each position
  ranks.clear();
  for (size_t i = 0; i + 1 < ids.size(); ++i) ranks.push_back(tables.merge_rank(ids[i], ids[i + 1]));
  while (!ranks.empty()) {
    const size_t at = std::min_element(ranks.begin(), ranks.end()) - ranks.begin();
    if (ranks[at] == no_rank) break;
    ids[at] = tables.merge_result(ranks[at]);
    ids.erase(ids.begin() + at + 1);
    ranks.erase(ranks.begin() + at);
    if (at > 0) ranks[at - 1] = tables.merge_rank(ids[at - 1], ids[at]);
    if (at < ranks.size()) ranks[at] = tables.merge_rank(ids[at], ids[at + 1]);
  }
}

/// Merges scratch.ids in place, keeping the pairs in a heap.
void merge_by_heap(const TokenizerTables& tables, MergeScratch& scratch) {
  std::vector<MergeScratch::Symbol>& symbols = scratch.symbols;
  std::vector<uint64_t>& heap = scratch.heap;
  const uint32_t count = static_cast<uint32_t>(scratch.ids.size());
  symbols.clear();
  for (uint32_t i = 0; i < count; ++i) symbols.push_back({scratch.ids[i], i - 1, i + 1});  // ends: beyond count
  const auto pair_rank = [&](uint32_t left) {
    const uint32_t right = symbols[left].next;
    return right < count ? tables.merge_rank(symbols[left].id, symbols[right].id) : no_rank;
  };
  heap.clear();
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t rank = pair_rank(i);
    if (rank != no_rank) heap.push_back(uint64_t{rank} << 32 | i);
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto push = [&](uint32_t left) {
    const uint32_t rank = pair_rank(left);
    if (rank == no_rank) return;
    heap.push_back(uint64_t{rank} << 32 | left);
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const uint32_t rank = static_cast<uint32_t>(heap.back() >> 32);
    const uint32_t left = static_cast<uint32_t>(heap.back());
    heap.pop_back();
    // Entries are not taken out when their pair changes: a changed pair has another rank.
    if (symbols[left].id < 0 || pair_rank(left) != rank) continue;
    const uint32_t right = symbols[left].next;
    symbols[left].id = tables.merge_result(rank);
    symbols[left].next = symbols[right].next;
    symbols[right].id = -1;
    if (symbols[left].next < count) symbols[symbols[left].next].previous = left;
    push(left);
    if (symbols[left].previous < count) push(symbols[left].previous);
  }
  scratch.ids.clear();
  for (uint32_t i = 0; i < count; i = symbols[i].next) scratch.ids.push_back(symbols[i].id);
}

void append_byte_ids(const TokenizerTables& tables, std::string_view bytes, std::vector<int32_t>& ids) {
  for (const char c : bytes) {
    const int32_t id = tables.byte_id(static_cast<uint8_t>(c));
    if (id >= 0) ids.push_back(id);
  }
}

/// The ids of a piece's characters, before merging.
void append_character_ids(const TokenizerTables& tables, std::string_view piece, std::vector<int32_t>& ids) {
  bool unknown = false;  // an unknown character waits to be written
  const auto write_unknown = [&] {
    if (unknown) ids.push_back(tables.unknown_id());
    unknown = false;
  };
  for (size_t position = 0; position < piece.size();) {
    const std::string_view character = piece.substr(position, utf8_unit_at(piece, position).size);
    position += character.size();
    const int32_t id = tables.find_spelling(character);
    if (id >= 0) {
      write_unknown();
      ids.push_back(id);
    } else if (std::all_of(character.begin(), character.end(),
                           [&](char c) { return tables.byte_id(static_cast<uint8_t>(c)) >= 0; })) {
      append_byte_ids(tables, character, ids);  // before an unknown one that waits, as in the source
    } else if (tables.unknown_id() >= 0) {
      if (!tables.fuse_unknown()) write_unknown();
      unknown = true;
    }
  }
  write_unknown();
}

void encode_word(const TokenizerTables& tables, std::string_view word, MergeScratch& scratch,
                 std::vector<int32_t>& ids) {
  if (word.size() <= tables.longest_direct()) {
    const int32_t id = tables.find_spelling(word);
    if (id >= 0 && (tables.token_flags(id) & TokenFlag::direct) != 0) {
      ids.push_back(id);
      return;
    }
  }
  merge_piece(tables, word, scratch, ids);
}

}  // namespace

void merge_piece(const TokenizerTables& tables, std::string_view piece, MergeScratch& scratch,
                 std::vector<int32_t>& ids) {
  scratch.ids.clear();
  if (tables.merge_unit() == MergeUnit::bytes) {
    append_byte_ids(tables, piece, scratch.ids);
  } else {
    append_character_ids(tables, piece, scratch.ids);
  }
  if (scratch.ids.size() <= scan_limit) {
    merge_by_scan(tables, scratch);
  } else {
    merge_by_heap(tables, scratch);
  }
  ids.insert(ids.end(), scratch.ids.begin(), scratch.ids.end());
}

void encode_piece(const TokenizerTables& tables, std::string_view piece, MergeScratch& scratch,
                  std::vector<int32_t>& ids) {
  if (tables.cut_before() == 0) {
    encode_word(tables, piece, scratch, ids);
    return;
  }
  std::string mark;
  append_utf8(mark, tables.cut_before());
  size_t begin = 0;
  while (begin < piece.size()) {
    size_t end = begin;
    while (piece.substr(end).starts_with(mark)) end += mark.size();
    end = std::min(piece.find(mark, end), piece.size());
    encode_word(tables, piece.substr(begin, end - begin), scratch, ids);
    begin = end;
  }
}

}  // namespace incipit
