#include "runtime/step_block.h"

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

StepLayout::StepLayout(const ExecutorLimits& limits) {
  const auto take = [this](int64_t size) {
    const int64_t offset = bytes;
    bytes += round_up(size, 64);
    return offset;
  };
  const int64_t sequences = limits.max_sequences, tokens = limits.max_tokens, rows = limits.max_rows;
  take(sizeof(StepCounts));
  spans = take(sequences * int64_t{sizeof(SequenceSpan)});
  source = take(4 * tokens);
  positions = take(4 * tokens);
  row_tokens = take(4 * rows);
  row_positions = take(4 * rows);
  row_sequence = take(4 * rows);
  row_masked = take(rows);
  for (const ExecutorLimits::Group& group : limits.groups) {
    const int32_t stride = pages_for(limits.max_context, group.page_tokens);
    tables.push_back({take(4 * sequences * stride), stride});
  }
  masks = take(4 * rows * ((limits.vocabulary + 31) / 32));
}

StepBlock::StepBlock(const ExecutorLimits& limits, Device& device)
    : limits_(limits), layout_(limits), block_(device.allocate_host(static_cast<size_t>(layout_.bytes), "a batch")) {}

void StepBlock::count(const Batch& batch) {
  StepCounts counts;
  int64_t tokens = 0, rows = 0;
  for (const BatchEntry& entry : batch.entries) {
    INCIPIT_ASSERT(entry.first_position >= 0 && entry.tokens.size() <= static_cast<size_t>(limits_.max_tokens));
    const int32_t own_tokens = tokens_of(entry);
    const auto own_rows = static_cast<int64_t>(entry.rows.size());
    const int64_t end = int64_t{entry.first_position} + own_tokens;
    INCIPIT_ASSERT(end <= limits_.max_context && own_rows <= own_tokens);
    counts.longest_context = std::max(counts.longest_context, static_cast<int32_t>(end));
    counts.most_tokens = std::max(counts.most_tokens, own_tokens);
    counts.most_rows = std::max(counts.most_rows, static_cast<int32_t>(own_rows));
    counts.token_contexts += own_tokens * end;
    counts.row_contexts += own_rows * end;
    tokens += own_tokens;
    rows += own_rows;
  }
  INCIPIT_ASSERT(!batch.entries.empty() && batch.entries.size() <= static_cast<size_t>(limits_.max_sequences));
  INCIPIT_ASSERT(tokens <= limits_.max_tokens && rows <= limits_.max_rows);
  counts.tokens = static_cast<int32_t>(tokens);
  counts.rows = static_cast<int32_t>(rows);
  counts.sequences = static_cast<int32_t>(batch.entries.size());
  *at<StepCounts>(0) = counts;
}

void StepBlock::fill(const Batch& batch, uint64_t step) {
  count(batch);
  at<StepCounts>(0)->step = step;
  auto* spans = at<SequenceSpan>(layout_.spans);
  int32_t first_token = 0, first_row = 0;
  for (int32_t sequence = 0; sequence < counts().sequences; ++sequence) {
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

void StepBlock::write_entry(const BatchEntry& entry, const SequenceSpan& span, int32_t sequence) {
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
    INCIPIT_ASSERT(span.rows > 0 && entry.mask.size() == mask_words());
    const auto row = static_cast<size_t>(span.first_row + span.rows - 1);
    at<uint8_t>(layout_.row_masked)[row] = 1;
    std::ranges::copy(entry.mask, at<uint32_t>(layout_.masks) + row * mask_words());
  }
}

void StepBlock::write_pages(const BatchEntry& entry, const SequenceSpan& span, int32_t sequence) {
  INCIPIT_ASSERT(entry.pages.size() == layout_.tables.size());
  for (size_t g = 0; g < layout_.tables.size(); ++g) {
    const ExecutorLimits::Group& group = limits_.groups[g];
    const std::span<const int32_t> pages = entry.pages[g];
    const int32_t needed = pages_for(span.first_position + span.tokens, group.page_tokens);
    INCIPIT_ASSERT(pages.size() >= static_cast<size_t>(needed));
    // Pages that lie behind the window of the first token are never looked at, and may be anything.
    const int32_t oldest = group.window > 0 ? std::max(0, span.first_position - group.window + 1) : 0;
    const StepLayout::Table& place = layout_.tables[g];
    auto* table = at<int32_t>(place.offset) + int64_t{sequence} * place.stride;
    std::fill_n(table, oldest / group.page_tokens, 0);
    for (int32_t i = oldest / group.page_tokens; i < needed; ++i) {
      const int32_t page = pages[static_cast<size_t>(i)];
      INCIPIT_ASSERT(page >= 0 && page < group.pages);
      table[i] = page;
    }
  }
}

void StepBlock::send(Device& device, DeviceAddress block, bool ahead) const {
  // In the order of the layout. What lies between two parts is copied with them where that takes less than another
  // copy.
  constexpr int64_t bridged = 16 * 1024;
  int64_t begin = 0, end = 0;
  const auto send_part = [&] {
    const DeviceAddress target = block + static_cast<uint64_t>(begin);
    const auto bytes = static_cast<size_t>(end - begin);
    if (ahead) return device.copy_ahead(target, block_.host + begin, bytes);
    device.copy_to_device(target, block_.host + begin, bytes);
  };
  const auto copy = [&](int64_t offset, int64_t bytes) {
    if (bytes == 0) return;
    if (offset - end > bridged) {
      send_part();
      begin = offset;
    }
    end = offset + bytes;
  };
  const int64_t tokens = counts().tokens, rows = counts().rows, sequences = counts().sequences;
  // The counts and the spans lie together.
  copy(0, layout_.spans + sequences * int64_t{sizeof(SequenceSpan)});
  copy(layout_.source, 4 * tokens);
  copy(layout_.positions, 4 * tokens);
  copy(layout_.row_tokens, 4 * rows);
  copy(layout_.row_positions, 4 * rows);
  copy(layout_.row_sequence, 4 * rows);
  copy(layout_.row_masked, rows);
  for (size_t g = 0; g < layout_.tables.size(); ++g) {
    const StepLayout::Table& table = layout_.tables[g];
    for (int64_t sequence = 0; sequence < sequences; ++sequence) {
      const SequenceSpan& span = at<SequenceSpan>(layout_.spans)[sequence];
      copy(table.offset + 4 * sequence * table.stride,
           int64_t{4} * pages_for(span.first_position + span.tokens, limits_.groups[g].page_tokens));
    }
  }
  const int64_t mask_bytes = 4 * static_cast<int64_t>(mask_words());
  for (int64_t row = 0; row < rows; ++row) {
    if (at<uint8_t>(layout_.row_masked)[row] != 0) copy(layout_.masks + row * mask_bytes, mask_bytes);
  }
  send_part();
}

void StepBlock::bind(const std::byte* block, StepView& view, GroupView* groups) const {
  const auto words = [&](int64_t offset) { return reinterpret_cast<const int32_t*>(block + offset); };
  view.counts = reinterpret_cast<const StepCounts*>(block);
  view.spans = reinterpret_cast<const SequenceSpan*>(block + layout_.spans);
  view.source = words(layout_.source);
  view.positions = words(layout_.positions);
  view.row_tokens = words(layout_.row_tokens);
  view.row_positions = words(layout_.row_positions);
  view.row_sequence = words(layout_.row_sequence);
  view.row_masked = reinterpret_cast<const uint8_t*>(block + layout_.row_masked);
  view.masks = reinterpret_cast<const uint32_t*>(block + layout_.masks);
  for (size_t g = 0; g < layout_.tables.size(); ++g) {
    groups[g].page_tables = words(layout_.tables[g].offset);
    groups[g].table_stride = layout_.tables[g].stride;
  }
}

}  // namespace incipit
