// Whether an engine's weights are as they were built, found out beside the work that uses them.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "engine/engine.h"

namespace incipit {

/// Checks the slabs of an engine's weights one after the other on a thread of its own. The thread runs where no other
/// wants to, and rests as long as it works, so that it takes little of the memory's bandwidth.
class WeightCheck {
 public:
  explicit WeightCheck(std::shared_ptr<const Engine> engine);
  /// Stops behind the slab that is being read.
  ~WeightCheck();
  WeightCheck(const WeightCheck&) = delete;
  WeightCheck& operator=(const WeightCheck&) = delete;

  /// Throws the Error of Engine::check_weight_slab when an altered slab has been found. Does not wait.
  void report() const;
  /// Stops the thread and checks the slabs that it has left in the calling one: all of them, or at least one and then
  /// as many as that time allows. Throws as report().
  void finish(std::optional<std::chrono::milliseconds> longest = std::nullopt) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace incipit
