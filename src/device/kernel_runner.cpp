#include "device/kernel_runner.h"

#include <cstring>

#include "base/error.h"
#include "kernels/kernel.h"
#include "kernels/layout.h"

namespace incipit {
namespace {

/// A worker's scratch begins with the number of the launch that it was prepared for, in a cache line of its own.
constexpr size_t launch_bytes = 64;

}  // namespace

ProcessorLaunch::ProcessorLaunch(const LaunchRequest& request) : code(request.code), counts(request.counts) {
  INCIPIT_ASSERT(request.arguments.size() <= sizeof arguments);
  std::memcpy(arguments, request.arguments.data(), request.arguments.size());
}

KernelRunner::KernelRunner(int threads) : pool_(threads) { reserve_scratch(scratch_memory_bytes); }

std::unique_ptr<PreparedLaunch> KernelRunner::prepare(const LaunchRequest& request) {
  reserve_scratch(request.code->scratch_bytes(request.rows));
  return std::make_unique<ProcessorLaunch>(request);
}

void KernelRunner::run(const ProcessorLaunch& launch) {
  const void* arguments = launch.arguments;
  alignas(64) std::byte counted[sizeof launch.arguments];
  if (launch.counts != nullptr) {
    std::memcpy(counted, launch.arguments, sizeof counted);
    if (!launch.code->take_counts(counted, *launch.counts)) return;
    arguments = counted;
  }
  const int64_t tiles = launch.code->tiles(arguments);
  ++launches_;
  pool_.parallel_for(tiles, [&](int64_t tile, int worker) {
    std::byte* const own = scratch_.data() + static_cast<size_t>(worker) * scratch_stride_;
    std::byte* const scratch = own + launch_bytes;
    uint64_t launches;  // by which this worker's scratch was prepared last
    std::memcpy(&launches, own, sizeof launches);
    if (launches != launches_) {
      std::memcpy(own, &launches_, sizeof launches_);
      begin_step(scratch, scratch_stride_ - launch_bytes);
    }
    launch.code->run(arguments, tile, scratch);
  });
}

void KernelRunner::reserve_scratch(size_t bytes_per_worker) {
  // Whole pages, so that no two workers write the same cache line or page.
  const auto stride = static_cast<size_t>(round_up(static_cast<int64_t>(launch_bytes + bytes_per_worker), 4096));
  if (stride <= scratch_stride_) return;
  scratch_ = HostMemory(stride * static_cast<size_t>(workers()), "scratch");
  scratch_stride_ = stride;
}

}  // namespace incipit
