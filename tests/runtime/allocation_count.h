// Counts what this program allocates.
#pragma once

#include <cstdint>

namespace incipit {

/// Calls of operator new while at least one AllocationCount lives. Clang's ThreadSanitizer has operators of its own,
/// which count nothing.
class AllocationCount {
 public:
  AllocationCount();
  ~AllocationCount();
  /// In any thread.
  int64_t count() const;
  /// In the calling thread, which made this.
  int64_t count_here() const;

 private:
  int64_t before_, before_here_;
};

}  // namespace incipit
