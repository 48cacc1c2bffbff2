// What this machine can do at most: arithmetic by element type and memory bandwidth, measured, never looked up.
#pragma once

#include <cstddef>
#include <span>

#include "base/dtype.h"
#include "base/thread_pool.h"
#include "device/host_memory.h"

namespace incipit {

/// Per second, with all threads of the pool working, or a whole GPU. 0: not measured.
struct Ceilings {
  double f32 = 0;        // multiplications and additions
  double f16 = 0;        // the same, on f16 operands with f32 sums
  double bf16 = 0;       // the same, on bf16 operands with f32 sums
  double i8 = 0;         // the same, on i8 operands with i32 sums
  double bandwidth = 0;  // bytes read from memory

  /// Of products of such operands; the largest there is where none was measured.
  double of(DType operands) const;
};

/// Memory to read, more than any cache here holds. Its pages take longer to get than to read: measure several times on
/// it.
HostMemory memory_to_read();

/// Runs loops that touch registers (or one tile) only, with the widest instruction there is for each type (a type
/// without one of its own goes at f32's speed), and reads all of `memory`, at whose size the bandwidth is. Best of
/// several rounds; takes about a second.
Ceilings measure_ceilings(ThreadPool& pool, std::span<const std::byte> memory);

}  // namespace incipit
