// The tuning cache of a build, saved as it grows: what was measured outlives an interrupt, and a kill costs what the
// last second brought.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>

#include "tune/tuner.h"

namespace incipit {

class KeptMeasurements {
 public:
  /// Reads the file; an empty path keeps nothing. Throws what TuningCache::load throws.
  explicit KeptMeasurements(const std::filesystem::path& path);
  /// Saves what is not saved yet, and warns where it cannot.
  ~KeptMeasurements();
  KeptMeasurements(const KeptMeasurements&) = delete;
  KeptMeasurements& operator=(const KeptMeasurements&) = delete;

  TuningCache& cache() { return cache_; }

  /// At most once a second. Throws Error when the very first result cannot be saved, before much is measured. Later
  /// failures are save()'s, which is called when the engine is whole.
  void save_some();
  void save_if_possible();
  /// Throws Error, and does not try again.
  void save();

 private:
  using Clock = std::chrono::steady_clock;
  std::filesystem::path path_;  // empty: nothing is kept
  TuningCache cache_;
  std::optional<Clock::time_point> tried_;
};

}  // namespace incipit
