#include "device/memory_ahead.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/background.h"
#include "base/machine_memory.h"

namespace incipit {
namespace {

using std::chrono::steady_clock;

constexpr size_t bytes_at_once = size_t{2} << 20;
/// Longer than from one step of a sequence to its next.
constexpr auto rest_behind_work = std::chrono::milliseconds(5);

}  // namespace

struct MemoryAhead::State {
  struct Range {
    std::byte* data;
    size_t bytes, done;
  };

  bool must_rest() const {
    return at_work.load(std::memory_order_acquire) ||
           steady_clock::now().time_since_epoch().count() < rest_until.load(std::memory_order_relaxed);
  }

  void run() {
    give_way_to_others();
    std::unique_lock guard(mutex);
    while (true) {
      changed.wait(guard, [&] { return stopping || !ranges.empty(); });
      if (stopping) return;
      if (must_rest()) {
        changed.wait_for(guard, rest_behind_work);  // nobody who works has to wake it
        continue;
      }
      const Range range = ranges.front();
      const size_t bytes = std::min(bytes_at_once, range.bytes - range.done);
      busy = range.data;
      guard.unlock();
      const bool given = ::madvise(range.data + range.done, bytes, MADV_POPULATE_WRITE) == 0;
      guard.lock();
      busy = nullptr;
      if (!given) {
        ranges.clear();  // an older system, or no memory left: what is touched later comes then
      } else if (!ranges.empty() && ranges.front().data == range.data) {
        ranges.front().done += bytes;
        if (ranges.front().done == range.bytes) ranges.pop_front();
      }
      changed.notify_all();
    }
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Range> ranges;  // not wholly there yet; the first is worked on
  const std::byte* busy = nullptr;
  size_t left = static_cast<size_t>(machine_memory()) / 4;
  bool stopping = false;
  std::atomic<bool> at_work = false;
  std::atomic<steady_clock::rep> rest_until = 0;  // in the clock's ticks
  std::thread thread;
};

MemoryAhead::MemoryAhead() : state_(std::make_unique<State>()) {}

MemoryAhead::~MemoryAhead() {
  {
    const std::lock_guard guard(state_->mutex);
    state_->stopping = true;
  }
  state_->changed.notify_all();
  if (state_->thread.joinable()) state_->thread.join();
}

void MemoryAhead::add(std::byte* data, size_t bytes) {
  const std::lock_guard guard(state_->mutex);
  bytes = std::min(bytes, state_->left);
  if (bytes == 0) return;
  if (!state_->thread.joinable()) {
    try {
      state_->thread = std::thread([state = state_.get()] { state->run(); });
    } catch (const std::system_error&) {
      return;
    }
  }
  state_->left -= bytes;
  state_->ranges.push_back({data, bytes, 0});
  state_->changed.notify_all();
}

void MemoryAhead::remove(const std::byte* data) {
  std::unique_lock guard(state_->mutex);
  std::erase_if(state_->ranges, [&](const State::Range& range) { return range.data == data; });
  state_->changed.wait(guard, [&] { return state_->busy == nullptr || state_->busy != data; });
}

void MemoryAhead::begin_work() { state_->at_work.store(true, std::memory_order_relaxed); }

void MemoryAhead::end_work() {
  state_->rest_until.store((steady_clock::now() + rest_behind_work).time_since_epoch().count(),
                           std::memory_order_relaxed);
  state_->at_work.store(false, std::memory_order_release);
}

bool MemoryAhead::wait(std::chrono::nanoseconds timeout) {
  std::unique_lock guard(state_->mutex);
  return state_->changed.wait_for(guard, timeout, [&] { return state_->ranges.empty() && state_->busy == nullptr; });
}

}  // namespace incipit
