#include "runtime/kernel_runner.h"

#include "kernels/layout.h"

namespace incipit {

void KernelRunner::run(const Launch& launch) {
  const int64_t tiles = launch.code->tiles(launch.arguments);
  pool_.parallel_for(tiles, [&](int64_t tile, int worker) {
    launch.code->run(launch.arguments, tile, scratch_.data() + static_cast<size_t>(worker) * scratch_stride_);
  });
}

void KernelRunner::reserve_scratch(size_t bytes_per_worker) {
  // Whole pages, so that no two workers write the same cache line or page.
  const auto stride = static_cast<size_t>(round_up(static_cast<int64_t>(bytes_per_worker), 4096));
  if (stride <= scratch_stride_) return;
  scratch_ = HostMemory(stride * static_cast<size_t>(workers()), "scratch");
  scratch_stride_ = stride;
}

}  // namespace incipit
