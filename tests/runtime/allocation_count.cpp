#include "runtime/allocation_count.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<int64_t> allocations{0};
thread_local int64_t allocations_here = 0;
std::atomic<int> watchers{0};

/// Null when there is no memory.
[[maybe_unused]] void* allocate(std::size_t size, std::size_t alignment) noexcept {
  if (watchers.load(std::memory_order_relaxed) > 0) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    ++allocations_here;
  }
  const std::size_t rounded = (size + alignment - 1) / alignment * alignment;
  return std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
}

[[maybe_unused]] void* allocate_or_throw(std::size_t size, std::size_t alignment) {
  void* memory = allocate(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

#if defined(__clang__)
#if __has_feature(thread_sanitizer)
#define HAS_OPERATORS
#endif
#endif
#ifndef HAS_OPERATORS
void* operator new(std::size_t size) { return allocate_or_throw(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
#endif

namespace incipit {

AllocationCount::AllocationCount() : before_(allocations.load()), before_here_(allocations_here) {
  watchers.fetch_add(1);
}
AllocationCount::~AllocationCount() { watchers.fetch_sub(1); }
int64_t AllocationCount::count() const { return allocations.load() - before_; }
int64_t AllocationCount::count_here() const { return allocations_here - before_here_; }

}  // namespace incipit
