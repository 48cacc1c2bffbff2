// Memory straight from the system, for devices that compute on the processor.
#pragma once

#include <cstddef>
#include <string_view>

namespace incipit {

/// A page-aligned, zeroed range. Pages that are never touched cost nothing.
class HostMemory {
 public:
  HostMemory() = default;
  /// Throws Error naming `what` and the bytes.
  HostMemory(size_t bytes, std::string_view what);
  /// A range of addresses without memory: any access faults.
  static HostMemory inaccessible(size_t bytes);
  ~HostMemory();
  HostMemory(HostMemory&& other) noexcept;
  HostMemory& operator=(HostMemory&& other) noexcept;

  /// The system has the memory until somebody writes there again; it is zeroed.
  void give_back();

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  HostMemory(size_t bytes, int protection, std::string_view what);
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace incipit
