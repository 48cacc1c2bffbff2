#include "text/tokenizer_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"

namespace incipit {
namespace {

constexpr std::string_view thing = "compiled tokenizer";

[[noreturn]] void refuse(std::string_view fault) { throw Error(thing, fault, "build the engine again"); }

[[noreturn]] void damaged(std::string_view part) { refuse(fmt::format("its {} are damaged", part)); }

template <typename T>
std::span<const T> section(std::span<const std::byte> block, const TokenizerTablesHeader& header, TableSection name) {
  const TableSectionPlace place = header.sections[static_cast<size_t>(name)];
  if (place.offset % 8 != 0 || place.offset > block.size() || place.size > block.size() - place.offset ||
      place.size % sizeof(T) != 0) {
    refuse(fmt::format("its section {} lies outside it", static_cast<uint32_t>(name)));
  }
  return {reinterpret_cast<const T*>(block.data() + place.offset), place.size / sizeof(T)};
}

std::string_view as_text(std::span<const char> characters) { return {characters.data(), characters.size()}; }

}  // namespace

uint64_t bytes_hash(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a, then spread into the high bits that pick the slot
  for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return (hash ^ hash >> 29) * 0x9e3779b97f4a7c15u;
}

TokenizerTables::TokenizerTables(std::span<const std::byte> block) {
  TokenizerTablesHeader header;
  if (block.size() < sizeof header) refuse(fmt::format("it has only {} bytes", block.size()));
  if (reinterpret_cast<uintptr_t>(block.data()) % 8 != 0) refuse("it is not aligned to 8 bytes");
  std::memcpy(&header, block.data(), sizeof header);
  if (header.magic != tokenizer_tables_magic) refuse("it does not begin as one");
  if (header.version != tokenizer_tables_version) {
    refuse(fmt::format("its version is {}, this program reads {}", header.version, tokenizer_tables_version));
  }
  if (header.size != block.size()) {
    refuse(fmt::format("it has {} bytes instead of {}", block.size(), header.size));
  }
  vocab_size_ = header.vocab_size;
  vocabulary_probes_ = header.vocabulary_probes;
  merge_probes_ = header.merge_probes;
  longest_direct_ = header.longest_direct;
  bos_id_ = header.bos_id;
  unknown_id_ = header.unknown_id;
  flags_ = header.flags;
  cut_before_ = header.cut_before;
  stripped_count_ = header.stripped_count;
  stripped_byte_ = static_cast<char>(header.stripped_byte);
  const auto view = [&]<typename T>(std::span<const T>& target, TableSection name) {
    target = section<T>(block, header, name);
  };
  view(token_offsets_, TableSection::token_offsets);
  token_bytes_ = as_text(section<char>(block, header, TableSection::token_bytes));
  view(spelling_offsets_, TableSection::spelling_offsets);
  spelling_bytes_ = as_text(section<char>(block, header, TableSection::spelling_bytes));
  view(token_flags_, TableSection::token_flags);
  view(byte_ids_, TableSection::byte_ids);
  view(vocabulary_, TableSection::vocabulary);
  view(merges_, TableSection::merges);
  view(merge_results_, TableSection::merge_results);
  view(added_raw_, TableSection::added_raw);
  view(added_normalized_, TableSection::added_normalized);
  view(normalizer_, TableSection::normalizer);
  view(steps_, TableSection::steps);
  strings_ = as_text(section<char>(block, header, TableSection::strings));
  view(prefix_ids_, TableSection::prefix_ids);
  view(suffix_ids_, TableSection::suffix_ids);
  view(eos_ids_, TableSection::eos_ids);

  if (vocab_size_ == 0 || vocab_size_ > max_vocabulary || token_flags_.size() != vocab_size_) damaged("tokens");
  check_tokens(token_offsets_, token_bytes_);
  check_tokens(spelling_offsets_, spelling_bytes_);
  if (vocabulary_.empty() || vocabulary_.size() > UINT32_MAX || vocabulary_probes_ > vocabulary_.size() ||
      std::any_of(vocabulary_.begin(), vocabulary_.end(),
                  [&](uint32_t id) { return id >= vocab_size_ && id != empty_vocabulary_slot; })) {
    damaged("vocabulary slots");
  }
  if (byte_ids_.size() != 256 || std::any_of(byte_ids_.begin(), byte_ids_.end(), [&](int32_t id) {
        return id < -1 || id >= static_cast<int64_t>(vocab_size_);
      })) {
    damaged("byte ids");
  }
  if (merges_.empty() || merges_.size() > UINT32_MAX || merge_probes_ > merges_.size() ||
      merge_results_.size() > max_merges ||
      std::any_of(merge_results_.begin(), merge_results_.end(), [&](uint32_t id) { return id >= vocab_size_; })) {
    damaged("merges");
  }
  for (const int32_t id : {bos_id_, unknown_id_}) {
    if (id < -1 || id >= static_cast<int64_t>(vocab_size_)) damaged("special ids");
  }
  check_ids(prefix_ids_);
  check_ids(suffix_ids_);
  check_ids(eos_ids_);
  check_added(added_raw_);
  check_added(added_normalized_);
  if (header.merge_unit >= merge_unit_count || flags_ > TokenizerFlag::all || cut_before_ > 0x10ffff ||
      (cut_before_ >= 0xd800 && cut_before_ < 0xe000) || header.stripped_byte > 0x7f) {
    damaged("settings");
  }
  merge_unit_ = static_cast<MergeUnit>(header.merge_unit);
  const auto is_string = [&](uint32_t offset, uint32_t size) {
    return offset <= strings_.size() && size <= strings_.size() - offset;
  };
  for (const NormalizerStepRecord& step : normalizer_) {
    const auto kind = static_cast<NormalizerStepKind>(step.kind);
    const bool takes_pattern = kind == NormalizerStepKind::replace || kind == NormalizerStepKind::replace_pattern;
    if (step.kind >= normalizer_step_kind_count || !is_string(step.pattern_offset, step.pattern_size) ||
        !is_string(step.content_offset, step.content_size) || step.content_size > max_normalizer_content ||
        (takes_pattern && step.pattern_size == 0)) {
      damaged("normaliser steps");
    }
  }
  for (const PreTokenizerStepRecord& step : steps_) {
    if (step.kind >= pre_tokenizer_step_kind_count || step.behavior >= split_behavior_count || step.invert > 1 ||
        !is_string(step.pattern_offset, step.pattern_size) ||
        (is_metaspace(static_cast<PreTokenizerStepKind>(step.kind)) &&
         !is_one_character(string(step.pattern_offset, step.pattern_size)))) {
      damaged("pre-tokenizer steps");
    }
  }
}

void TokenizerTables::check_tokens(std::span<const uint32_t> offsets, std::string_view bytes) const {
  if (offsets.size() != size_t{vocab_size_} + 1 || !std::is_sorted(offsets.begin(), offsets.end()) ||
      offsets.back() > bytes.size()) {
    damaged("tokens");
  }
}

void TokenizerTables::check_ids(std::span<const int32_t> ids) const {
  for (const int32_t id : ids) {
    if (static_cast<uint32_t>(id) >= vocab_size_) damaged("special ids");
  }
}

void TokenizerTables::check_added(std::span<const AddedTokenRecord> records) const {
  for (const AddedTokenRecord& record : records) {
    if (record.text_offset > strings_.size() || record.text_size > strings_.size() - record.text_offset ||
        record.text_size == 0 || record.text_size > max_added_token_bytes ||
        static_cast<uint32_t>(record.id) >= vocab_size_) {
      damaged("added tokens");
    }
  }
}

int32_t TokenizerTables::find_spelling(std::string_view wanted) const {
  size_t slot = first_slot(bytes_hash(wanted), vocabulary_.size());
  for (uint32_t probe = 0; probe < vocabulary_probes_; ++probe) {
    const uint32_t id = vocabulary_[slot];
    if (id == empty_vocabulary_slot) return -1;
    if (spelling(static_cast<int32_t>(id)) == wanted) return static_cast<int32_t>(id);
    if (++slot == vocabulary_.size()) slot = 0;
  }
  return -1;
}

}  // namespace incipit
