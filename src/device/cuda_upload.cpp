#include "device/cuda_upload.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <exception>
#include <thread>
#include <vector>

#include "base/cpu.h"
#include "device/cuda_context.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // Linux 5.14
#endif

namespace incipit {
namespace {

constexpr size_t piece_bytes = size_t{4} << 20;
constexpr size_t turns = 2;                     // pieces of a thread: one is read while the other is copied
constexpr size_t most_threads = 8;              // what a bus takes in
constexpr size_t few_bytes = size_t{64} << 20;  // the driver's own way is as fast as making memory for ours

/// Maps the pages of a file that is in memory in one call, where touching each of them would fault. A system that
/// cannot leaves it at that.
void populate(std::span<const std::byte> piece) {
  constexpr uint64_t page = 4096;
  const uint64_t begin = reinterpret_cast<uint64_t>(piece.data()) / page * page;
  const uint64_t end = reinterpret_cast<uint64_t>(piece.data()) + piece.size();
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_READ);
}

/// The pieces that are left, and where they go.
struct Upload {
  cuda::Address target;
  std::span<const std::byte> bytes;
  std::atomic<size_t> next{0};

  size_t pieces() const { return (bytes.size() + piece_bytes - 1) / piece_bytes; }

  /// A thread's share, by way of `staging` of `turns` pieces.
  void work(std::byte* staging) {
    const cuda::Driver& driver = cuda_driver();
    const CudaStream stream = make_cuda_stream();
    std::array<CudaEvent, turns> copied;
    for (CudaEvent& event : copied) event = make_cuda_event(cuda::event_without_time);
    for (size_t turn = 0;; turn = (turn + 1) % turns) {
      const size_t piece = next.fetch_add(1, std::memory_order_relaxed);
      if (piece >= pieces()) break;
      const size_t offset = piece * piece_bytes;
      const auto part = bytes.subspan(offset, std::min(piece_bytes, bytes.size() - offset));
      driver.check(driver.finish_event(copied[turn].get()), "waiting for a piece of the weights");
      populate(part);
      std::memcpy(staging + turn * piece_bytes, part.data(), part.size());
      driver.check(driver.copy_to_device(target + offset, staging + turn * piece_bytes, part.size(), stream.get()),
                   "copying weights to it");
      driver.check(driver.record_event(copied[turn].get(), stream.get()), "copying weights to it");
    }
    driver.check(driver.finish_stream(stream.get()), "copying weights to it");
  }
};

}  // namespace

void upload_to_gpu(cuda::Address target, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const LoggedTime logged(fmt::format("for copying {} bytes", bytes.size()));
  if (bytes.size() <= few_bytes) {
    const cuda::Driver& driver = cuda_driver();
    const CudaStream stream = make_cuda_stream();
    driver.check(driver.copy_to_device(target, bytes.data(), bytes.size(), stream.get()), "copying weights to it");
    driver.check(driver.finish_stream(stream.get()), "copying weights to it");
    return;
  }
  Upload upload{target, bytes};
  const size_t threads = std::min({most_threads, static_cast<size_t>(available_cores()), upload.pieces()});
  const cuda::Driver& driver = cuda_driver();
  void* memory = nullptr;
  driver.check(driver.allocate_host(&memory, threads * turns * piece_bytes, cuda::host_memory_portable),
               "taking memory to copy weights by");
  const CudaHostMemory staging(memory);
  std::vector<std::exception_ptr> failures(threads);
  const auto work = [&](size_t thread) {
    try {
      upload.work(static_cast<std::byte*>(memory) + thread * turns * piece_bytes);
    } catch (...) {
      failures[thread] = std::current_exception();
    }
  };
  std::vector<std::jthread> others;
  for (size_t thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
  work(0);
  others.clear();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace incipit
