// A pool for kernels: the caller is worker 0, tiles are claimed from a counter a worker.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace incipit {

/// Runs one parallel loop at a time. Every worker begins with a share of its own, the same part of every loop, so that
/// it finds in its caches what it made of the same rows before; then it claims coarse tiles of the others' shares, so
/// that a core stolen by the system delays one tile and not a whole share. Between loops workers spin at most 50 µs,
/// then sleep. parallel_for neither allocates nor throws; `body` must not throw.
class ThreadPool {
 public:
  /// `threads` counts the caller; 0 means available_cores().
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  using Body = void (*)(void* context, int64_t tile, int worker);
  /// Calls body(context, tile, worker) once for every tile in [0, tiles); worker in [0, threads()).
  /// Everything written by the bodies is visible to the caller afterwards. Not reentrant.
  void parallel_for(int64_t tiles, Body body, void* context);

  template <typename F>
  void parallel_for(int64_t tiles, F&& function) {
    parallel_for(
        tiles,
        [](void* context, int64_t tile, int worker) {
          (*static_cast<std::remove_reference_t<F>*>(context))(tile, worker);
        },
        const_cast<void*>(static_cast<const void*>(&function)));
  }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace incipit
