// The executor: an engine's plan, resolved once, run step by step.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "device/device.h"
#include "engine/engine.h"
#include "kernels/sampling.h"

namespace incipit {

/// A sequence's share of a step.
struct BatchEntry {
  int32_t slot = 0;
  /// The tokens' ids; empty when the one token is the slot's last sample, which may still be on its way.
  std::span<const int32_t> tokens;
  int32_t first_position = 0;  // of the first token: everything before it is in the cache
  /// A page table a cache group, long enough for first_position + tokens. Entry i holds positions [i·page_tokens, …);
  /// those behind the window of the first token may be anything.
  std::span<const std::span<const int32_t>> pages;
  /// Which of the entry's tokens get logits and a sample: indices into its tokens, ascending. May be empty.
  std::span<const int32_t> rows;
  /// Tokens the last row may draw, as bits [(vocabulary + 31) / 32]; empty: all.
  std::span<const uint32_t> mask;
};

struct Batch {
  std::span<const BatchEntry> entries;
  /// For evaluation: logits are copied to the host. The only case in which a step may allocate (host memory for them).
  bool want_logits = false;
};

struct Ticket {
  uint64_t number = 0;
};

/// Fixed facts of a loaded engine, for the scheduler.
struct ExecutorLimits {
  struct Group {
    int32_t page_tokens = 0;
    int32_t window = 0;      // 0: none
    int32_t pages = 0;       // in the pool
    int64_t page_bytes = 0;  // from one page to the next
  };
  int32_t vocabulary = 0;
  int32_t max_context = 0;
  int32_t slots = 0;
  int32_t max_tokens = 0;  // of a step
  int32_t max_rows = 0;
  int32_t max_sequences = 0;
  std::vector<Group> groups;
};

struct StepTime {
  std::string name;         // the plan's
  std::string problem;      // kernels/problem.h
  std::string kernel;       // and its config
  double milliseconds = 0;  // sum over the profiled submissions
};

/// A buffer as a step has left it. Valid during the call that shows it.
struct ObservedBuffer {
  std::string_view step, name;  // the plan's
  DType dtype;
  int32_t rows, width;
  int64_t stride;         // elements from row to row
  const std::byte* data;  // on the host
};

struct ExecutorOptions {
  /// Bytes for the KV pools; 0: room for every slot at full context, within the plan's memory limit.
  int64_t cache_bytes = 0;
  /// Times every step (each is then waited for): for bench, not for service.
  bool profile = false;
  /// Shows each buffer that a step has written, between that step and the next (each is then waited for).
  std::function<void(const ObservedBuffer&)> observe;
};

class Executor {
 public:
  /// Resolves kernels by name and ABI (an engine that asks for one this program lacks is refused, with the remedy),
  /// places weights, allocates arena, pools and slot state. Throws Error.
  Executor(std::shared_ptr<const Engine> engine, std::unique_ptr<Device> device, const ExecutorOptions& options = {});
  ~Executor();

  const ExecutorLimits& limits() const;
  const Engine& engine() const;
  Device& device();

  /// Resets a slot for a new sequence: parameters set, and the history begun with `known`, tokens whose pages are in
  /// the cache already. Tokens from `generated_from` on count as generated (penalties). Ordered with submissions.
  void configure(int32_t slot, const SamplingParameters& parameters, int32_t generated_from,
                 std::span<const int32_t> known = {});
  /// Keeps the slot's first `length` tokens: takes samples or speculation back. Ordered with submissions.
  void truncate(int32_t slot, int32_t length);
  /// Copies a page within a group's pool (copy on write). Ordered with submissions.
  void copy_page(int32_t group, int32_t from, int32_t to);

  /// Nothing in the pages is of use any more; their memory may go to others until they are written again. Not while a
  /// ticket is in flight.
  void give_pages_back();

  /// Runs a step. Entries must respect limits() and each sequence appears once; a broken rule asserts, as the scheduler
  /// is ours. At most two tickets may be in flight. Nothing is allocated, looked up by name or thrown.
  Ticket submit(const Batch& batch);
  /// Waits; one result a sampled row, entries in order. Valid until the second submit after this ticket's.
  std::span<const SampledRow> collect(Ticket ticket);
  /// The logits [rows, vocabulary] of a ticket collected with want_logits. Valid as collect()'s result.
  std::span<const float> logits(Ticket ticket) const;

  /// Times since the last call, when options.profile.
  std::vector<StepTime> take_profile();
  /// Device bytes: weights, arena (with what launches share), pools, state.
  struct Memory {
    int64_t weights = 0, arena = 0, pages = 0, state = 0;
  };
  Memory memory() const;
  /// What an executor of the engine would take: pages where nothing but the engine's own limit bounds them, and the
  /// least of them. Without what launches share. Throws Error as the constructor does.
  struct Needs {
    Memory memory;
    int64_t least_pages = 0;
  };
  static Needs needs(const Engine& engine);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace incipit
