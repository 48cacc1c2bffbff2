// Runs launches on a pool of threads, with scratch memory for each of them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"
#include "runtime/device.h"
#include "runtime/host_memory.h"

namespace incipit {

/// All calls but reserve_scratch() and workers() come from one thread, which is worker 0.
class KernelRunner {
 public:
  explicit KernelRunner(int threads);

  void run(const Launch& launch);
  /// Not while a launch runs.
  void reserve_scratch(size_t bytes_per_worker);
  int workers() const { return pool_.threads(); }

 private:
  ThreadPool pool_;
  HostMemory scratch_;
  size_t scratch_stride_ = 0;
  uint64_t launches_ = 0;
};

}  // namespace incipit
