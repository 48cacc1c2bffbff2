// Runs launches on a pool of threads, with scratch memory for each of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "device/device.h"
#include "device/host_memory.h"

namespace incipit {

/// A launch as a processor keeps it.
struct ProcessorLaunch final : PreparedLaunch {
  explicit ProcessorLaunch(const LaunchRequest& request);

  std::shared_ptr<const LaunchCode> code;
  const StepCounts* counts;
  alignas(64) std::byte arguments[LaunchRequest::max_argument_bytes];
};

/// A program as a processor keeps it.
struct ProcessorProgram final : Program {
  explicit ProcessorProgram(std::span<const PreparedLaunch* const> prepared) {
    for (const PreparedLaunch* launch : prepared) launches.push_back(static_cast<const ProcessorLaunch*>(launch));
  }
  std::vector<const ProcessorLaunch*> launches;
};

/// All calls but prepare() and workers() come from one thread, which is worker 0.
class KernelRunner {
 public:
  explicit KernelRunner(int threads);

  /// Takes scratch for the launch. Not while one runs.
  std::unique_ptr<PreparedLaunch> prepare(const LaunchRequest& request);
  void run(const ProcessorLaunch& launch);
  int workers() const { return pool_.threads(); }

 private:
  void reserve_scratch(size_t bytes_per_worker);

  ThreadPool pool_;
  HostMemory scratch_;
  size_t scratch_stride_ = 0;
  uint64_t launches_ = 0;
};

}  // namespace incipit
