// The turns of gateways on one device: each steps its own engine in its own thread, one at a time.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "session/step_turns.h"

namespace incipit {

/// Any thread may call. Whoever has work has to come for its turn, again and again, until it says that it has none.
class DeviceLease {
 public:
  using Engine = StepTurns::Engine;

  /// How long a stream on the device may wait for its next token; 0: without a bound.
  explicit DeviceLease(int64_t max_gap_us) : turns_(max_gap_us) {}

  Engine join();
  /// Waits for the engine's turn, and says how many µs its step may take. One that has the device already keeps it.
  int64_t take(Engine engine, const StepWish& wish);
  /// Takes the device if nobody has work; false if somebody has.
  bool take_if_idle(Engine engine);
  /// Whether anybody else has work: then the device is to be given back behind each step.
  bool is_wanted(Engine engine) const;
  /// `has_work`: it will come again at once.
  void give_back(Engine engine, bool has_work);
  /// How many engines have work, this one counted.
  size_t sharers(Engine engine) const;

 private:
  void hold(Engine engine);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Under the mutex.
  StepTurns turns_;
  Engine holder_ = StepTurns::nobody;
  Engine next_ = StepTurns::nobody;  // whose turn it is while nobody holds it; it may be on its way
  int64_t held_since_ = 0;
};

}  // namespace incipit
