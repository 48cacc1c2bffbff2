#include "session/device_lease.h"

#include <utility>

#include "base/error.h"
#include "session/session.h"

namespace incipit {

DeviceLease::Engine DeviceLease::join() {
  const std::lock_guard lock(mutex_);
  return turns_.join();
}

void DeviceLease::hold(Engine engine) {
  holder_ = engine;
  next_ = StepTurns::nobody;
  held_since_ = clock_us();
}

int64_t DeviceLease::take(Engine engine, const StepWish& wish) {
  std::unique_lock lock(mutex_);
  turns_.want(engine, wish, clock_us());
  if (holder_ == engine) {
    const int64_t now = clock_us();
    turns_.ran(engine, now - std::exchange(held_since_, now), now);
  } else {
    if (holder_ == StepTurns::nobody && next_ == StepTurns::nobody) next_ = turns_.next(clock_us());
    changed_.wait(lock, [&] { return holder_ == StepTurns::nobody && next_ == engine; });
    hold(engine);
  }
  return turns_.longest(engine, held_since_);
}

bool DeviceLease::take_if_idle(Engine engine) {
  const std::lock_guard lock(mutex_);
  if (holder_ != StepTurns::nobody || turns_.busy() > 0) return false;
  turns_.want(engine, {}, clock_us());
  hold(engine);
  return true;
}

bool DeviceLease::is_wanted(Engine engine) const {
  const std::lock_guard lock(mutex_);
  return turns_.busy() > (turns_.wants(engine) ? 1U : 0U);
}

void DeviceLease::give_back(Engine engine, bool has_work) {
  {
    const std::lock_guard lock(mutex_);
    INCIPIT_ASSERT(holder_ == engine);
    const int64_t now = clock_us();
    turns_.ran(engine, now - held_since_, now);
    if (!has_work) turns_.rest(engine);
    holder_ = StepTurns::nobody;
    next_ = turns_.next(now);
  }
  changed_.notify_all();
}

size_t DeviceLease::sharers(Engine engine) const {
  const std::lock_guard lock(mutex_);
  return turns_.busy() + (turns_.wants(engine) ? 0U : 1U);
}

}  // namespace incipit
