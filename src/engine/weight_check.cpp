#include "engine/weight_check.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/background.h"
#include "base/error.h"

namespace incipit {

struct WeightCheck::State {
  explicit State(std::shared_ptr<const Engine> from) : engine(std::move(from)), thread([this] { run(); }) {}

  void run() {
    give_way_to_others();
    for (uint64_t slab = 0; slab < engine->weight_slabs(); ++slab) {
      const auto start = std::chrono::steady_clock::now();
      try {
        engine->check_weight_slab(slab);
      } catch (...) {
        fault = std::current_exception();
        altered.store(true, std::memory_order_release);
        return;
      }
      checked.store(slab + 1, std::memory_order_relaxed);
      std::unique_lock guard(mutex);
      if (told_to_stop.wait_for(guard, std::chrono::steady_clock::now() - start, [&] { return stopping; })) return;
    }
  }

  void stop() {
    const std::lock_guard guard(mutex);
    stopping = true;
    told_to_stop.notify_all();
  }

  std::shared_ptr<const Engine> engine;
  std::exception_ptr fault;  // written before `altered`
  std::atomic<bool> altered{false};
  std::atomic<uint64_t> checked{0};  // slabs, from the first
  std::mutex mutex;
  std::condition_variable told_to_stop;
  bool stopping = false;
  std::thread thread;  // the last: it uses the others
};

WeightCheck::WeightCheck(std::shared_ptr<const Engine> engine) try
    : state_(std::make_unique<State>(std::move(engine))) {
} catch (const std::system_error&) {
  throw Error("threads", "the system refuses to start another one", "end other programs, or raise the limit");
}

WeightCheck::~WeightCheck() {
  state_->stop();
  state_->thread.join();
}

void WeightCheck::report() const {
  if (state_->altered.load(std::memory_order_acquire)) std::rethrow_exception(state_->fault);
}

void WeightCheck::finish(std::optional<std::chrono::milliseconds> longest) const {
  const auto start = std::chrono::steady_clock::now();
  state_->stop();
  report();
  // The thread may hold a slab and no core for a while: what it has not finished is done here.
  for (uint64_t slab = state_->checked; slab < state_->engine->weight_slabs(); ++slab) {
    state_->engine->check_weight_slab(slab);
    if (longest && std::chrono::steady_clock::now() - start > *longest) return;
  }
}

}  // namespace incipit
