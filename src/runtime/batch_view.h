// A submitted batch as steps see it: kernel pointers and counts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/batch.h"
#include "kernels/sampling.h"

namespace incipit {

/// A cache group's pool and this batch's page tables into it.
struct GroupView {
  std::byte* pool = nullptr;
  int64_t page_bytes = 0;
  const int32_t* page_tables = nullptr;  // [sequences][table_stride]
  int32_t table_stride = 0;
};

struct BatchView {
  int32_t bucket = 0;
  int32_t tokens = 0, rows = 0, sequences = 0;
  int32_t longest_context = 0;  // last position + 1, of any sequence
  /// Contexts, summed over the entries' tokens and over their sampled rows: attention's work.
  int64_t token_contexts = 0, row_contexts = 0;
  int32_t workers = 1;  // of the device

  std::byte* workspace = nullptr;  // shared by a launch's workers, by one launch after the other
  size_t workspace_bytes = 0;

  std::byte* arena = nullptr;
  const uint64_t* offsets = nullptr;  // of each buffer in the arena, on the host

  const SequenceSpan* spans = nullptr;     // [sequences]
  const int32_t* source = nullptr;         // [tokens] ids as the host knows them; -1: the slot's last sample
  const int32_t* positions = nullptr;      // [tokens]
  const int32_t* row_tokens = nullptr;     // [rows] sampled rows as indices into the tokens
  const int32_t* row_positions = nullptr;  // [rows]
  const int32_t* row_sequence = nullptr;   // [rows] index of the row's span
  const uint8_t* row_masked = nullptr;     // [rows]
  const uint32_t* masks = nullptr;         // [rows][(vocabulary + 31) / 32], or null when no row has one
  int32_t* ids = nullptr;                  // [tokens], written by the first step
  SampledRow* samples = nullptr;           // [rows], written by the last
  const GroupView* groups = nullptr;       // one a cache group, on the host
  SlotArrays slots;
};

}  // namespace incipit
