// Which memory is allocated: what a kernel's arguments point into is found by their addresses.
#pragma once

#include <cstddef>
#include <span>

namespace incipit {

/// Knows all memory that was taken by `new` while this lives, and not given back. One at a time.
class LiveAllocations {
 public:
  LiveAllocations();
  ~LiveAllocations();
  LiveAllocations(const LiveAllocations&) = delete;
  LiveAllocations& operator=(const LiveAllocations&) = delete;

  /// The allocation that holds the address; empty: none does.
  static std::span<std::byte> find(const void* address);
};

}  // namespace incipit
