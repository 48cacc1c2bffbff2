#include "device/memory_ahead.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <list>
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
    size_t bytes, asked;
    int being_asked;  // pieces
  };
  using Ranges = std::list<Range>;

  /// The first that is not wholly asked for.
  Ranges::iterator next() {
    return std::ranges::find_if(ranges, [](const Range& range) { return range.asked < range.bytes; });
  }

  bool must_rest() const {
    return at_work.load(std::memory_order_acquire) ||
           steady_clock::now().time_since_epoch().count() < rest_until.load(std::memory_order_relaxed);
  }

  void run() {
    give_way_to_others();
    std::unique_lock guard(mutex);
    while (true) {
      changed.wait(guard, [&] { return stopping || next() != ranges.end(); });
      if (stopping) return;
      if (must_rest()) {
        changed.wait_for(guard, rest_behind_work);  // nobody who works has to wake it
      } else {
        ask(guard);
      }
    }
  }

  /// For a piece of the next range, which the caller knows to be there. Allocates nothing: no step may.
  void ask(std::unique_lock<std::mutex>& guard) {
    const Ranges::iterator range = next();
    std::byte* const piece = range->data + range->asked;
    const size_t bytes = std::min(bytes_at_once, range->bytes - range->asked);
    range->asked += bytes;
    ++range->being_asked;
    guard.unlock();
    const bool given = ::madvise(piece, bytes, MADV_POPULATE_WRITE) == 0;
    guard.lock();
    --range->being_asked;
    if (!given) {  // an older system, or no memory left: what is touched later comes then
      for (Range& each : ranges) each.asked = each.bytes;
    }
    ranges.remove_if(is_done);
    changed.notify_all();
  }

  static bool is_done(const Range& range) { return range.asked == range.bytes && range.being_asked == 0; }

  std::mutex mutex;
  std::condition_variable changed;
  Ranges ranges;  // that are not done
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
  state_->ranges.push_back({data, bytes, 0, 0});
  state_->changed.notify_all();
}

void MemoryAhead::remove(const std::byte* data) {
  std::unique_lock guard(state_->mutex);
  const auto is_this = [&](const State::Range& range) { return range.data == data; };
  for (State::Range& range : state_->ranges) {
    if (is_this(range)) range.asked = range.bytes;
  }
  state_->ranges.remove_if(State::is_done);
  state_->changed.wait(guard, [&] { return std::ranges::none_of(state_->ranges, is_this); });
}

void MemoryAhead::begin_work() { state_->at_work.store(true, std::memory_order_relaxed); }

void MemoryAhead::end_work() {
  state_->rest_until.store((steady_clock::now() + rest_behind_work).time_since_epoch().count(),
                           std::memory_order_relaxed);
  state_->at_work.store(false, std::memory_order_release);
}

bool MemoryAhead::wait(std::chrono::nanoseconds timeout) {
  const auto end = steady_clock::now() + timeout;
  std::unique_lock guard(state_->mutex);
  // On a busy machine a thread that gives way to all others may not come to it for minutes.
  while (state_->next() != state_->ranges.end() && steady_clock::now() < end) {
    if (state_->at_work.load(std::memory_order_acquire)) {
      state_->changed.wait_for(guard, rest_behind_work);
    } else {
      state_->ask(guard);
    }
  }
  return state_->changed.wait_until(guard, end, [&] { return state_->ranges.empty(); });
}

}  // namespace incipit
