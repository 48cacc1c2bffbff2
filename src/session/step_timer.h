// Times steps of chosen shapes, for StepCosts.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/executor.h"
#include "session/scheduler.h"

namespace incipit {

/// Runs steps beside a scheduler's, with slots and pages that it has not given to anybody. What such a page holds is
/// computed with and does not matter.
class StepTimer {
 public:
  explicit StepTimer(Executor& executor);
  /// µs from the batch on the host to its samples there. Nothing is running, and nothing is in flight. Nothing comes
  /// back when too few pages are unused.
  std::optional<int64_t> time(const Scheduler& scheduler, const StepCosts::Cell& cell);

 private:
  struct Pages {
    std::vector<std::vector<int32_t>> tables;  // [sequence]
  };
  bool lay_out(const Scheduler& scheduler, size_t group, const std::vector<int32_t>& ends, int32_t context,
               Pages& into);

  Executor& executor_;
  std::vector<std::vector<bool>> touched_;  // [group][page]
};

}  // namespace incipit
