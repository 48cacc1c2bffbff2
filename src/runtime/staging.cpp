#include "runtime/staging.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "kernels/layout.h"

namespace incipit {
namespace {

int32_t pages_for(int32_t positions, int32_t page_tokens) { return (positions + page_tokens - 1) / page_tokens; }

int32_t tokens_of(const BatchEntry& entry) {
  return entry.tokens.empty() ? 1 : static_cast<int32_t>(entry.tokens.size());
}

}  // namespace

int64_t BatchStaging::largest_block(const ExecutorLimits& limits) {
  int64_t bytes = round_up(limits.max_sequences * int64_t{sizeof(SequenceSpan)}, 64);
  bytes += 2 * round_up(int64_t{4} * limits.max_tokens, 64) + 4 * round_up(int64_t{4} * limits.max_rows, 64);
  for (const ExecutorLimits::Group& group : limits.groups) {
    bytes += round_up(int64_t{4} * limits.max_sequences * pages_for(limits.max_context, group.page_tokens), 64);
  }
  return bytes;
}

int64_t BatchStaging::largest_masks(const ExecutorLimits& limits) {
  return int64_t{4} * limits.max_rows * ((limits.vocabulary + 31) / 32);
}

BatchStaging::BatchStaging(const ExecutorLimits& limits)
    : limits_(limits),
      block_(static_cast<size_t>(largest_block(limits))),
      masks_(static_cast<size_t>(largest_masks(limits) / 4)),
      tables_(limits.groups.size()) {}

void BatchStaging::count(const Batch& batch) {
  int64_t tokens = 0, rows = 0;
  longest_context_ = 0;
  token_contexts_ = row_contexts_ = 0;
  for (const BatchEntry& entry : batch.entries) {
    INCIPIT_ASSERT(entry.first_position >= 0 && entry.tokens.size() <= static_cast<size_t>(limits_.max_tokens));
    const int64_t end = int64_t{entry.first_position} + tokens_of(entry);
    INCIPIT_ASSERT(end <= limits_.max_context);
    longest_context_ = std::max(longest_context_, static_cast<int32_t>(end));
    token_contexts_ += tokens_of(entry) * end;
    row_contexts_ += static_cast<int64_t>(entry.rows.size()) * end;
    tokens += tokens_of(entry);
    rows += static_cast<int64_t>(entry.rows.size());
  }
  INCIPIT_ASSERT(!batch.entries.empty() && batch.entries.size() <= static_cast<size_t>(limits_.max_sequences));
  INCIPIT_ASSERT(tokens <= limits_.max_tokens && rows <= limits_.max_rows);
  tokens_ = static_cast<int32_t>(tokens);
  rows_ = static_cast<int32_t>(rows);
  sequences_ = static_cast<int32_t>(batch.entries.size());
}

void BatchStaging::lay_out() {
  int64_t end = 0;
  const auto take = [&end](int64_t bytes) {
    const int64_t offset = end;
    end += round_up(bytes, 64);
    return offset;
  };
  layout_.spans = take(sequences_ * int64_t{sizeof(SequenceSpan)});
  layout_.source = take(int64_t{4} * tokens_);
  layout_.positions = take(int64_t{4} * tokens_);
  layout_.row_tokens = take(int64_t{4} * rows_);
  layout_.row_positions = take(int64_t{4} * rows_);
  layout_.row_sequence = take(int64_t{4} * rows_);
  layout_.row_masked = take(rows_);
  for (size_t g = 0; g < tables_.size(); ++g) {
    tables_[g].stride = pages_for(longest_context_, limits_.groups[g].page_tokens);
    tables_[g].offset = take(int64_t{4} * sequences_ * tables_[g].stride);
  }
  used_ = static_cast<size_t>(end);
  INCIPIT_ASSERT(used_ <= block_.size());
}

void BatchStaging::fill(const Batch& batch) {
  count(batch);
  lay_out();
  has_masks_ = false;
  auto* spans = at<SequenceSpan>(layout_.spans);
  int32_t first_token = 0, first_row = 0;
  for (int32_t sequence = 0; sequence < sequences_; ++sequence) {
    const BatchEntry& entry = batch.entries[static_cast<size_t>(sequence)];
    SequenceSpan& span = spans[sequence];
    span.slot = entry.slot;
    span.first_token = first_token;
    span.tokens = tokens_of(entry);
    span.first_position = entry.first_position;
    span.first_row = first_row;
    span.rows = static_cast<int32_t>(entry.rows.size());
    write_entry(entry, span, sequence);
    write_pages(entry, span, sequence);
    first_token += span.tokens;
    first_row += span.rows;
  }
}

void BatchStaging::write_entry(const BatchEntry& entry, const SequenceSpan& span, int32_t sequence) {
  INCIPIT_ASSERT(span.slot >= 0 && span.slot < limits_.slots);
  auto* source = at<int32_t>(layout_.source) + span.first_token;
  auto* positions = at<int32_t>(layout_.positions) + span.first_token;
  if (entry.tokens.empty()) source[0] = -1;
  for (size_t i = 0; i < entry.tokens.size(); ++i) {
    INCIPIT_ASSERT(entry.tokens[i] >= 0 && entry.tokens[i] < limits_.vocabulary);
    source[i] = entry.tokens[i];
  }
  for (int32_t i = 0; i < span.tokens; ++i) positions[i] = span.first_position + i;

  for (int32_t i = 0; i < span.rows; ++i) {
    const int32_t token = entry.rows[static_cast<size_t>(i)];
    const int32_t row = span.first_row + i;
    INCIPIT_ASSERT(token >= 0 && token < span.tokens && (i == 0 || token > entry.rows[static_cast<size_t>(i - 1)]));
    at<int32_t>(layout_.row_tokens)[row] = span.first_token + token;
    at<int32_t>(layout_.row_positions)[row] = span.first_position + token;
    at<int32_t>(layout_.row_sequence)[row] = sequence;
    at<uint8_t>(layout_.row_masked)[row] = 0;
  }
  if (!entry.mask.empty()) {
    INCIPIT_ASSERT(span.rows > 0 && entry.mask.size() == mask_words_a_row());
    const auto row = static_cast<size_t>(span.first_row + span.rows - 1);
    at<uint8_t>(layout_.row_masked)[row] = 1;
    std::copy(entry.mask.begin(), entry.mask.end(), masks_.begin() + static_cast<int64_t>(row * mask_words_a_row()));
    has_masks_ = true;
  }
}

void BatchStaging::write_pages(const BatchEntry& entry, const SequenceSpan& span, int32_t sequence) {
  INCIPIT_ASSERT(entry.pages.size() == tables_.size());
  for (size_t g = 0; g < tables_.size(); ++g) {
    const ExecutorLimits::Group& group = limits_.groups[g];
    const std::span<const int32_t> pages = entry.pages[g];
    const int32_t needed = pages_for(span.first_position + span.tokens, group.page_tokens);
    INCIPIT_ASSERT(pages.size() >= static_cast<size_t>(needed));
    // Pages that lie behind the window of the first token are never looked at, and may be anything.
    const int32_t oldest = group.window > 0 ? std::max(0, span.first_position - group.window + 1) : 0;
    auto* table = at<int32_t>(tables_[g].offset) + int64_t{sequence} * tables_[g].stride;
    std::fill_n(table, tables_[g].stride, 0);
    for (int32_t i = oldest / group.page_tokens; i < needed; ++i) {
      const int32_t page = pages[static_cast<size_t>(i)];
      INCIPIT_ASSERT(page >= 0 && page < group.pages);
      table[i] = page;
    }
  }
}

void BatchStaging::bind(const std::byte* block, const uint32_t* masks, BatchView& view, GroupView* groups) const {
  const auto words = [&](int64_t offset) { return reinterpret_cast<const int32_t*>(block + offset); };
  view.tokens = tokens_;
  view.rows = rows_;
  view.sequences = sequences_;
  view.longest_context = longest_context_;
  view.token_contexts = token_contexts_;
  view.row_contexts = row_contexts_;
  view.spans = reinterpret_cast<const SequenceSpan*>(block + layout_.spans);
  view.source = words(layout_.source);
  view.positions = words(layout_.positions);
  view.row_tokens = words(layout_.row_tokens);
  view.row_positions = words(layout_.row_positions);
  view.row_sequence = words(layout_.row_sequence);
  view.row_masked = reinterpret_cast<const uint8_t*>(block + layout_.row_masked);
  view.masks = has_masks_ ? masks : nullptr;
  for (size_t g = 0; g < tables_.size(); ++g) {
    groups[g].page_tables = words(tables_[g].offset);
    groups[g].table_stride = tables_[g].stride;
  }
}

}  // namespace incipit
