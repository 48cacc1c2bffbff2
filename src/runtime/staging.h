// A batch on its way to the device: one block of host memory, laid out anew for every batch, copied in one piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/batch_view.h"
#include "runtime/executor.h"

namespace incipit {

class BatchStaging {
 public:
  /// Takes all memory that any batch within the limits needs. `limits` outlives this.
  explicit BatchStaging(const ExecutorLimits& limits);

  /// Writes the batch's arrays. Breaking a rule of BatchEntry asserts.
  void fill(const Batch& batch);

  /// What to copy to the device: all but the masks, and the masks (empty when no row has one).
  std::span<const std::byte> block() const { return {block_.data(), used_}; }
  std::span<const uint32_t> masks() const { return {masks_.data(), has_masks_ ? mask_words() : 0}; }
  /// Bytes that block() and masks() can have at most.
  static int64_t largest_block(const ExecutorLimits& limits);
  static int64_t largest_masks(const ExecutorLimits& limits);

  /// Points counts and arrays of a view at the block's and the masks' place in device memory. `groups` has one entry a
  /// cache group.
  void bind(const std::byte* block, const uint32_t* masks, BatchView& view, GroupView* groups) const;

  int32_t tokens() const { return tokens_; }
  int32_t rows() const { return rows_; }
  int32_t sequences() const { return sequences_; }

 private:
  void count(const Batch& batch);
  void lay_out();
  void write_entry(const BatchEntry& entry, const SequenceSpan& span, int32_t sequence);
  void write_pages(const BatchEntry& entry, const SequenceSpan& span, int32_t sequence);
  size_t mask_words_a_row() const { return static_cast<size_t>((limits_.vocabulary + 31) / 32); }
  size_t mask_words() const { return static_cast<size_t>(rows_) * mask_words_a_row(); }
  template <typename T>
  T* at(int64_t offset) {
    return reinterpret_cast<T*>(block_.data() + offset);
  }

  const ExecutorLimits& limits_;
  std::vector<std::byte> block_;
  std::vector<uint32_t> masks_;
  int32_t tokens_ = 0, rows_ = 0, sequences_ = 0, longest_context_ = 0;
  int64_t token_contexts_ = 0, row_contexts_ = 0;
  bool has_masks_ = false;
  size_t used_ = 0;
  // Byte offsets within the block.
  struct Layout {
    int64_t spans, source, positions, row_tokens, row_positions, row_sequence, row_masked;
  } layout_{};
  struct Tables {
    int64_t offset = 0;
    int32_t stride = 0;  // pages
  };
  std::vector<Tables> tables_;  // a cache group
};

}  // namespace incipit
