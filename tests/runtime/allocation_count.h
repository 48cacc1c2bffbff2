// Counts what this program allocates, in any thread.
#pragma once

#include <cstdint>

namespace incipit {

/// Calls of operator new while at least one AllocationCount lives.
class AllocationCount {
 public:
  AllocationCount();
  ~AllocationCount();
  int64_t count() const;

 private:
  int64_t before_;
};

}  // namespace incipit
