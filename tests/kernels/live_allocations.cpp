#include "kernels/live_allocations.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

namespace {

/// For the list itself.
template <typename T>
struct Unlisted {
  using value_type = T;
  Unlisted() = default;
  template <typename U>
  explicit Unlisted(const Unlisted<U>&) {}
  T* allocate(std::size_t count) { return static_cast<T*>(std::malloc(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t) { std::free(memory); }
  template <typename U>
  bool operator==(const Unlisted<U>&) const {
    return true;
  }
};
using List = std::map<std::uintptr_t, std::size_t, std::less<>, Unlisted<std::pair<const std::uintptr_t, std::size_t>>>;

std::atomic<bool> listing{false};
std::mutex list_lock;
List& list() {
  static List allocations;
  return allocations;
}

/// Null when there is no memory.
void* allocate(std::size_t size, std::size_t alignment) noexcept {
  const std::size_t rounded = (size + alignment - 1) / alignment * alignment;
  void* const memory = std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
  if (memory != nullptr && listing.load(std::memory_order_relaxed)) {
    const std::lock_guard lock(list_lock);
    list()[reinterpret_cast<std::uintptr_t>(memory)] = size;
  }
  return memory;
}

void* allocate_or_throw(std::size_t size, std::size_t alignment) {
  void* memory = allocate(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void release(void* memory) noexcept {
  if (memory != nullptr && listing.load(std::memory_order_relaxed)) {
    const std::lock_guard lock(list_lock);
    list().erase(reinterpret_cast<std::uintptr_t>(memory));
  }
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return allocate_or_throw(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }

namespace incipit {

LiveAllocations::LiveAllocations() { listing = true; }
LiveAllocations::~LiveAllocations() {
  listing = false;
  const std::lock_guard lock(list_lock);
  list().clear();
}

std::span<std::byte> LiveAllocations::find(const void* address) {
  const auto value = reinterpret_cast<std::uintptr_t>(address);
  const std::lock_guard lock(list_lock);
  auto found = list().upper_bound(value);
  if (found == list().begin()) return {};
  --found;
  if (value - found->first >= found->second) return {};
  return {reinterpret_cast<std::byte*>(found->first), found->second};
}

}  // namespace incipit
