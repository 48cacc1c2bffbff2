// Any bytes as what happens to a scheduler: no rule of scheduler_events.h is broken.
#include <cstddef>
#include <cstdint>

#include "session/scheduler_events.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Behind the input's end numbers follow that depend on all of it, so that every case comes to an end.
  size_t at = 0;
  uint64_t state = 0x9e3779b97f4a7c15U;
  incipit::SchedulerEvents events([&](int32_t low, int32_t high) {
    const auto span = static_cast<uint64_t>(high - low) + 1;
    state ^= at < size ? data[at] : 0U;
    state = state * 6364136223846793005U + 1442695040888963407U;
    const uint64_t own = at < size ? data[at++] : state >> 33;
    return low + static_cast<int32_t>((span > 256 && at < size ? own * 251 + data[at++] : own) % span);
  });
  events.run(static_cast<int64_t>(size < 300 ? size : 300));
  return 0;
}
