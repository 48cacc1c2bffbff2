// Sums of attention over a part of a context, and where the tiles of one query meet that each sum another part.
//
// A context is summed in parts: of each come weighted values, their total weight and what weights are relative to,
// which are then added up in the order of the parts. A decoding sequence's parts can so be spread over workers (Dao et
// al., "Flash-Decoding for long-context inference", 2023), and its text stays what it is without that.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kernels/families.h"
#include "kernels/layout.h"

namespace incipit {

/// Sums of some rows, in memory of the given bytes: Σ 2^(score − reference) · value, and the total of the weights.
struct PartialRows {
  int64_t output_row;  // floats, a multiple of 16
  float* outputs;      // [rows][output_row]
  float* totals;       // [rows]
  float* references;   // [rows], −∞: the row sees nothing

  static int64_t bytes(int64_t rows, int64_t head_dim) { return round_up(rows * (round_up(head_dim, 16) + 2) * 4, 64); }

  /// `memory`: 64-byte aligned.
  PartialRows(std::byte* memory, int64_t rows, int64_t head_dim)
      : output_row(round_up(head_dim, 16)),
        outputs(reinterpret_cast<float*>(memory)),
        totals(outputs + rows * output_row),
        references(totals + rows) {}
};

/// Attention::Args::workspace: counters, then slots, which hold the rows of one query for one KV head each. The
/// counters lie in the same place whatever the problem, and are zero between launches.
class AttentionWorkspace {
 public:
  AttentionWorkspace(const Attention::Problem& problem, std::byte* memory, int64_t bytes)
      : memory_(memory), group_(problem.heads / problem.kv_heads), head_dim_(problem.head_dim), bytes_(bytes) {}

  /// What a query of `parts` parts needs.
  static int64_t bytes(const Attention::Problem& problem, int64_t parts) {
    return counter_bytes +
           parts * problem.kv_heads * PartialRows::bytes(problem.heads / problem.kv_heads, problem.head_dim);
  }

  int64_t slots() const {
    return bytes_ <= counter_bytes ? 0 : (bytes_ - counter_bytes) / PartialRows::bytes(group_, head_dim_);
  }
  static constexpr int64_t meetings() { return counter_bytes / int64_t{sizeof(uint32_t)}; }

  PartialRows slot(int64_t index) const {
    return {memory_ + counter_bytes + index * PartialRows::bytes(group_, head_dim_), group_, head_dim_};
  }
  /// True for the last of `parts` that come to a meeting: it then sees what all have left in their slots.
  bool arrive(int64_t meeting, int32_t parts) const {
    std::atomic_ref<uint32_t> counter(reinterpret_cast<uint32_t*>(memory_)[meeting]);
    if (counter.fetch_add(1, std::memory_order_acq_rel) + 1 < static_cast<uint32_t>(parts)) return false;
    counter.store(0, std::memory_order_relaxed);
    return true;
  }

 private:
  static constexpr int64_t counter_bytes = 4096;
  std::byte* memory_;
  int64_t group_, head_dim_, bytes_;
};

}  // namespace incipit
