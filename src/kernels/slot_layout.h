// Where the arrays of all slots (SlotArrays) lie in one block of device memory: the build bounds it, the run time
// allocates it.
#pragma once

#include <cstdint>

#include "kernels/layout.h"
#include "kernels/sampling.h"

namespace incipit {

/// Offsets in bytes, each a multiple of 64.
struct SlotLayout {
  SlotLayout(int64_t slots, int64_t max_context, int64_t vocabulary)
      : states(take(slots * static_cast<int64_t>(sizeof(SlotState)))),
        history(take(slots * max_context * 4)),
        prompt_counts(take(slots * vocabulary * 2)),
        generated_counts(take(slots * vocabulary * 2)),
        generated_from(take(slots * 4)),
        requests(take(slots * static_cast<int64_t>(sizeof(SlotRequest)))) {}

  int64_t bytes = 0;  // of the whole block; first, as the members below add to it
  int64_t states, history, prompt_counts, generated_counts, generated_from;
  int64_t requests;  // [slots] SlotRequest

 private:
  int64_t take(int64_t size) {
    const int64_t offset = bytes;
    bytes += round_up(size, 64);
    return offset;
  }
};

}  // namespace incipit
