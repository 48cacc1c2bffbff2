#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/cpu.h"
#include "base/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace incipit {
namespace {

constexpr std::chrono::microseconds spin_limit{50};

void pause_processor() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// Waits until `value` differs from `old`: spins for `limit`, then sleeps.
template <typename T>
void wait_while_equal(const std::atomic<T>& value, T old, std::chrono::microseconds limit) {
  if (limit.count() > 0) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    do {
      for (int i = 0; i < 16; ++i) {
        if (value.load(std::memory_order_acquire) != old) return;
        pause_processor();
      }
    } while (std::chrono::steady_clock::now() < deadline);
  }
  value.wait(old, std::memory_order_acquire);
}

void pin_to(std::thread& thread, int core) {
  cpu_set_t mask;
  if (core >= CPU_SETSIZE) return;
  CPU_ZERO(&mask);
  CPU_SET(core, &mask);
  pthread_setaffinity_np(thread.native_handle(), sizeof(mask), &mask);  // a refusal costs speed only
}

}  // namespace

struct ThreadPool::State {
  // The loop. Written by the caller before `unclaimed` is raised, read by whoever has claimed a tile: the loop
  // cannot end, nor the next one begin, before that tile is reported in `unfinished`.
  Body body = nullptr;
  void* context = nullptr;
  int32_t tiles = 0;

  /// Unclaimed tiles of a worker's share, which are its last ones. A worker that comes late finds none, or some of the
  /// next loop; either is right.
  struct alignas(64) Share {
    std::atomic<int32_t> unclaimed{0};
  };
  std::vector<Share> shares;
  alignas(64) std::atomic<int32_t> unfinished{0};
  // Counts loops; a change wakes the workers. (Changed with the default, total order: a notification skips
  // the system call where it sees no sleeper, and must not look before the change is out.)
  alignas(64) std::atomic<uint32_t> generation{0};
  std::atomic<bool> stopping{false};

  std::chrono::microseconds spin{0};
  std::vector<std::thread> workers;

  /// The first tile of a share; of the one behind the last, the number of tiles.
  int32_t first_of(size_t share) const {
    return static_cast<int32_t>(static_cast<int64_t>(tiles) * static_cast<int64_t>(share) /
                                static_cast<int64_t>(shares.size()));
  }

  /// Claims and runs tiles until none is left: the worker's own first, then those of the workers after it.
  void run_tiles(int worker) {
    int32_t finished = 0;
    for (size_t i = 0; i < shares.size(); ++i) {
      const size_t share = (static_cast<size_t>(worker) + i) % shares.size();
      std::atomic<int32_t>& unclaimed = shares[share].unclaimed;
      int32_t left = unclaimed.load(std::memory_order_acquire);
      while (left > 0) {
        // A failed exchange reloads `left`. Success reads the caller's store (or a later claim of the same release
        // sequence), so that the loop's fields are visible.
        if (!unclaimed.compare_exchange_weak(left, left - 1, std::memory_order_acquire)) continue;
        body(context, first_of(share + 1) - left, worker);
        ++finished;
        left = unclaimed.load(std::memory_order_acquire);
      }
    }
    if (finished > 0 && unfinished.fetch_sub(finished) == finished) unfinished.notify_one();
  }

  void work(int worker) {
    uint32_t seen = 0;
    while (true) {
      wait_while_equal(generation, seen, spin);
      seen = generation.load(std::memory_order_acquire);
      if (stopping.load(std::memory_order_relaxed)) return;
      run_tiles(worker);
    }
  }

  void stop() {
    stopping.store(true, std::memory_order_relaxed);
    generation.fetch_add(1);
    generation.notify_all();
    for (std::thread& worker : workers) worker.join();
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  const int cores = available_cores();
  if (threads <= 0) threads = cores;
  state_->shares = std::vector<State::Share>(static_cast<size_t>(threads));
  // With more threads than cores a spinning one keeps a working one from its core.
  if (threads <= cores) state_->spin = spin_limit;
  // Under a quota the mask names more cores than are ours, and containers would all crowd on the first ones.
  std::vector<int> ids = available_core_ids();
  const bool pin = threads <= cores && static_cast<int>(ids.size()) == cores;
  // The caller, worker 0, is likely to stay where it is: a worker pinned to that core would halve them both.
  if (const auto own = std::find(ids.begin(), ids.end(), sched_getcpu()); own != ids.end()) {
    std::swap(*own, ids.front());
  }

  state_->workers.reserve(static_cast<size_t>(threads - 1));
  try {
    for (int worker = 1; worker < threads; ++worker) {
      state_->workers.emplace_back([state = state_.get(), worker] { state->work(worker); });
      if (pin) pin_to(state_->workers.back(), ids[static_cast<size_t>(worker)]);
    }
  } catch (const std::system_error&) {
    state_->stop();
    throw Error("threads", "the system refuses to start " + std::to_string(threads) + " of them",
                "ask for fewer with --threads");
  }
}

ThreadPool::~ThreadPool() { state_->stop(); }

int ThreadPool::threads() const { return static_cast<int>(state_->workers.size()) + 1; }

void ThreadPool::parallel_for(int64_t tiles, Body body, void* context) {
  if (tiles <= 0) return;
  State& state = *state_;
  if (tiles == 1 || state.workers.empty()) {
    for (int64_t tile = 0; tile < tiles; ++tile) body(context, tile, 0);
    return;
  }
  INCIPIT_ASSERT(tiles <= std::numeric_limits<int32_t>::max());
  state.body = body;
  state.context = context;
  state.tiles = static_cast<int32_t>(tiles);
  state.unfinished.store(state.tiles, std::memory_order_relaxed);
  for (size_t share = 0; share < state.shares.size(); ++share) {
    state.shares[share].unclaimed.store(state.first_of(share + 1) - state.first_of(share), std::memory_order_release);
  }
  state.generation.fetch_add(1);
  state.generation.notify_all();

  state.run_tiles(0);
  while (true) {
    const int32_t left = state.unfinished.load(std::memory_order_acquire);
    if (left == 0) return;
    wait_while_equal(state.unfinished, left, state.spin);
  }
}

}  // namespace incipit
