// Lays a tokenizer out as the block of tables that TokenizerTables reads.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "text/pair_merger.h"
#include "text/tokenizer_tables.h"
#include "tokenizer_compile/tokenizer_source.h"

namespace incipit {
namespace {

/// Slots for `count` entries at two thirds full, never none.
size_t slots_for(size_t count) { return count + count / 2 + 1; }

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span<const T>(values));
}

class Writer {
 public:
  Writer(const TokenizerSource& source, std::string_view file) : source_(source), file_(file) {
    block_.resize(sizeof header_);
    header_ = {};
    header_.magic = tokenizer_tables_magic;
    header_.version = tokenizer_tables_version;
    header_.vocab_size = static_cast<uint32_t>(source.tokens.size());
    header_.bos_id = source.bos_id.value_or(-1);
    header_.merge_unit = static_cast<uint32_t>(source.unit);
    header_.unknown_id = source.unknown_id.value_or(-1);
    if (source.fuse_unknown) header_.flags |= TokenizerFlag::fuse_unknown;
    if (source.bare_first_token) header_.flags |= TokenizerFlag::bare_first_token;
    header_.cut_before = can_be_cut() ? utf8_unit_at(metaspace, 0).code_point : 0;
    header_.stripped_count = source.stripped_count;
    header_.stripped_byte = source.stripped_byte;
  }

  std::vector<std::byte> write() {
    write_tokens();
    write_vocabulary();
    write_merges();
    put(TableSection::byte_ids, std::as_bytes(std::span(source_.byte_ids)));
    write_added();
    write_normalizer();
    write_steps();
    put(TableSection::strings, std::as_bytes(std::span(strings_.data(), strings_.size())));
    put(TableSection::prefix_ids, bytes_of(source_.prefix_ids));
    put(TableSection::suffix_ids, bytes_of(source_.suffix_ids));
    put(TableSection::eos_ids, bytes_of(source_.eos_ids));
    header_.size = block_.size();
    finish_header();
    mark_direct_tokens();
    return std::move(block_);
  }

 private:
  void put(TableSection name, std::span<const std::byte> bytes) {
    header_.sections[static_cast<size_t>(name)] = {block_.size(), bytes.size()};
    block_.insert(block_.end(), bytes.begin(), bytes.end());
    block_.resize((block_.size() + 7) / 8 * 8);
  }

  void finish_header() { std::memcpy(block_.data(), &header_, sizeof header_); }

  /// Where `text` begins among the strings.
  uint32_t add_string(std::string_view text) {
    const size_t offset = strings_.size();
    strings_ += text;
    if (strings_.size() > UINT32_MAX) throw Error(file_, "its added tokens and patterns exceed 4 GiB");
    return static_cast<uint32_t>(offset);
  }

  /// Whether no merge reaches from another character across to U+2581, so that words may be merged one by one.
  bool can_be_cut() const {
    if (source_.unit != MergeUnit::characters || source_.ignore_merges || !source_.find(metaspace)) return false;
    return std::none_of(source_.merge_results.begin(), source_.merge_results.end(), [&](int32_t id) {
      std::string_view rest = source_.tokens[static_cast<size_t>(id)].spelling;
      while (rest.starts_with(metaspace)) rest.remove_prefix(metaspace.size());
      return rest.find(metaspace) != std::string_view::npos;
    });
  }

  void write_texts(TableSection offsets_name, TableSection bytes_name, std::string TokenizerSource::Token::*text) {
    std::vector<uint32_t> offsets{0};
    std::string bytes;
    for (const TokenizerSource::Token& token : source_.tokens) {
      bytes += token.*text;
      if (bytes.size() > UINT32_MAX) throw Error(file_, "its vocabulary exceeds 4 GiB");
      offsets.push_back(static_cast<uint32_t>(bytes.size()));
    }
    put(offsets_name, bytes_of(offsets));
    put(bytes_name, std::as_bytes(std::span(bytes.data(), bytes.size())));
  }

  void write_tokens() {
    write_texts(TableSection::token_offsets, TableSection::token_bytes, &TokenizerSource::Token::bytes);
    if (source_.unit == MergeUnit::bytes) {  // tokens are made from what they decode to
      const auto place = [&](TableSection name) -> TableSectionPlace& {
        return header_.sections[static_cast<size_t>(name)];
      };
      place(TableSection::spelling_offsets) = place(TableSection::token_offsets);
      place(TableSection::spelling_bytes) = place(TableSection::token_bytes);
    } else {
      write_texts(TableSection::spelling_offsets, TableSection::spelling_bytes, &TokenizerSource::Token::spelling);
    }
    std::vector<uint8_t> flags;
    for (const TokenizerSource::Token& token : source_.tokens) {
      flags.push_back(
          static_cast<uint8_t>((token.special ? TokenFlag::special : 0) | (token.added ? TokenFlag::added : 0)));
    }
    put(TableSection::token_flags, bytes_of(flags));
  }

  void write_vocabulary() {
    const size_t count = std::count_if(source_.tokens.begin(), source_.tokens.end(),
                                       [](const TokenizerSource::Token& token) { return token.merged; });
    std::vector<uint32_t> slots(slots_for(count), empty_vocabulary_slot);
    for (size_t id = 0; id < source_.tokens.size(); ++id) {
      if (!source_.tokens[id].merged) continue;
      size_t slot = first_slot(bytes_hash(source_.tokens[id].spelling), slots.size());
      uint32_t probes = 1;
      for (; slots[slot] != empty_vocabulary_slot; ++probes) slot = (slot + 1) % slots.size();
      slots[slot] = static_cast<uint32_t>(id);
      header_.vocabulary_probes = std::max(header_.vocabulary_probes, probes);
    }
    put(TableSection::vocabulary, bytes_of(slots));
  }

  void write_merges() {
    std::vector<uint64_t> slots(slots_for(source_.merges.size()), empty_merge_slot);
    for (const TokenizerSource::Merge& merge : source_.merges) {
      const uint64_t key = merge_key(static_cast<uint32_t>(merge.left), static_cast<uint32_t>(merge.right));
      size_t slot = first_slot(merge_hash(key), slots.size());
      uint32_t probes = 1;
      // A pair given twice has the later rank, as in the library whose format this is.
      for (; slots[slot] != empty_merge_slot && slots[slot] >> merge_rank_bits != key; ++probes) {
        slot = (slot + 1) % slots.size();
      }
      slots[slot] = key << merge_rank_bits | merge.rank;
      header_.merge_probes = std::max(header_.merge_probes, probes);
    }
    put(TableSection::merges, bytes_of(slots));
    put(TableSection::merge_results, bytes_of(source_.merge_results));
  }

  void write_added() {
    std::vector<TokenizerSource::AddedToken> sorted = source_.added;
    std::sort(sorted.begin(), sorted.end(),
              [](const auto& a, const auto& b) { return std::pair(a.text, a.id) < std::pair(b.text, b.id); });
    std::vector<AddedTokenRecord> raw, normalized;
    for (const TokenizerSource::AddedToken& token : sorted) {
      if (token.text.size() > max_added_token_bytes) {
        throw Error(file_, fmt::format("token {} has {} bytes, more than {} for a token that is looked for in texts",
                                       token.id, token.text.size(), max_added_token_bytes));
      }
      uint32_t flags = 0;
      if (token.special) flags |= AddedTokenRecord::special;
      if (token.strips_left) flags |= AddedTokenRecord::strips_left;
      if (token.strips_right) flags |= AddedTokenRecord::strips_right;
      if (token.single_word) flags |= AddedTokenRecord::single_word;
      (token.normalized ? normalized : raw)
          .push_back({add_string(token.text), static_cast<uint32_t>(token.text.size()), token.id, flags});
    }
    put(TableSection::added_raw, bytes_of(raw));
    put(TableSection::added_normalized, bytes_of(normalized));
  }

  void write_normalizer() {
    std::vector<NormalizerStepRecord> records;
    for (const NormalizerStep& step : source_.normalizer) {
      records.push_back({static_cast<uint32_t>(step.kind), add_string(step.pattern),
                         static_cast<uint32_t>(step.pattern.size()), add_string(step.content),
                         static_cast<uint32_t>(step.content.size()), 0});
    }
    put(TableSection::normalizer, bytes_of(records));
  }

  void write_steps() {
    std::vector<PreTokenizerStepRecord> records;
    for (const PreTokenizerStep& step : source_.steps) {
      records.push_back({static_cast<uint32_t>(step.kind), static_cast<uint32_t>(step.behavior), step.invert ? 1u : 0u,
                         add_string(step.pattern), static_cast<uint32_t>(step.pattern.size()), 0});
    }
    put(TableSection::steps, bytes_of(records));
  }

  /// Finds the tokens that merging makes of exactly their own bytes, so that most pieces need one look-up only.
  void mark_direct_tokens() {
    const TokenizerTables tables(block_);
    const size_t flags = header_.sections[static_cast<size_t>(TableSection::token_flags)].offset;
    MergeScratch scratch;
    std::vector<int32_t> ids;
    for (size_t id = 0; id < source_.tokens.size(); ++id) {
      const TokenizerSource::Token& token = source_.tokens[id];
      if (!token.merged) continue;
      if (!source_.ignore_merges) {
        ids.clear();
        merge_piece(tables, token.spelling, scratch, ids);
        if (ids.size() != 1 || ids[0] != static_cast<int32_t>(id)) continue;
      }
      block_[flags + id] |= std::byte{TokenFlag::direct};
      header_.longest_direct = std::max(header_.longest_direct, static_cast<uint32_t>(token.spelling.size()));
    }
    finish_header();
  }

  const TokenizerSource& source_;
  std::string_view file_;
  TokenizerTablesHeader header_;
  std::vector<std::byte> block_;
  std::string strings_;
};

}  // namespace

std::vector<std::byte> write_tables(const TokenizerSource& source, std::string_view file) {
  return Writer(source, file).write();
}

}  // namespace incipit
