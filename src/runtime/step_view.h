// Where the steps of a ticket find what they work on: kernel pointers that stay the same from batch to batch.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/batch.h"
#include "kernels/sampling.h"

namespace incipit {

/// A cache group's pool and the ticket's page tables into it.
struct GroupView {
  std::byte* pool = nullptr;
  int64_t page_bytes = 0;
  const int32_t* page_tables = nullptr;  // [sequences][table_stride]
  int32_t table_stride = 0;
  int32_t pages = 0;  // in the pool
};

/// Launches are prepared once for each ticket and size of steps; what changes from batch to batch is read from the
/// ticket's block when they run.
struct StepView {
  /// null for a launch outside of a batch, which has `rows` rows.
  const StepCounts* counts = nullptr;
  int32_t rows = 0;     // of the step's axis, at most
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
  const uint8_t* row_masked = nullptr;     // [rows] 1 where the row has a mask
  const uint32_t* masks = nullptr;         // [rows][(vocabulary + 31) / 32]
  int32_t* ids = nullptr;                  // [tokens], written by the first step
  SampledRow* samples = nullptr;           // [rows], written by the last
  const GroupView* groups = nullptr;       // one a cache group, on the host
  SlotArrays slots;
};

}  // namespace incipit
