// What an engine's steps take, measured once and kept: for the scheduler of whoever serves it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "session/gateway.h"
#include "session/step_costs.h"

namespace incipit {

/// Times are kept in ENGINE.costs beside the engine or, where nothing can be written there, in the user's cache
/// directory, a line each: engine's digest, machine and threads (of a GPU: its driver), shape, µs. A file that cannot
/// be read or written costs a warning and a new measurement.
class StepCostsKeeper {
 public:
  /// Tells the gateway's session what is kept. The gateway outlives this.
  explicit StepCostsKeeper(Gateway& gateway);
  /// Keeps what was measured, if not all: the next start goes on with the rest.
  ~StepCostsKeeper();
  StepCostsKeeper(const StepCostsKeeper&) = delete;
  StepCostsKeeper& operator=(const StepCostsKeeper&) = delete;

  /// Whether all is measured that can be.
  bool complete() const { return next_ == missing_.size(); }
  /// Runs one step, if no request runs; each shape is timed twice, and the faster counts. What is complete is kept.
  void measure_step();
  /// Runs steps until all is measured or the next is likely to end behind `longest`.
  void measure_for(std::chrono::microseconds longest);

  const StepCosts& costs() const { return costs_; }
  /// Where times are kept, the best place first.
  static std::vector<std::filesystem::path> places(const Engine& engine);

 private:
  void time_next();
  void save();

  Gateway& gateway_;
  std::string key_;  // what a line begins with
  StepCosts costs_;
  std::vector<StepCosts::Cell> missing_;
  size_t next_ = 0;
  bool unsaved_ = false;
  std::optional<int64_t> first_time_;  // of missing_[next_]
};

}  // namespace incipit
