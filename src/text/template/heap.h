// What a rendering makes, and what it may use up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <string_view>
#include <utility>

#include "text/template/chat_template.h"

namespace incipit::jinja {

/// Owns every value of one rendering and frees them all at its end, so that values are plain pointers and may hold one
/// another in a circle. Counts steps and bytes; beyond a limit it throws Fault.
class Heap {
 public:
  explicit Heap(const TemplateLimits& limits) : limits_(limits), resource_(*this) {}
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  const TemplateLimits& limits() const { return limits_; }
  std::pmr::memory_resource* resource() { return &resource_; }

  /// Never destroyed: T must leave nothing behind but memory of this heap.
  template <typename T, typename... Arguments>
  T* make(Arguments&&... arguments) {
    return new (resource_.allocate(sizeof(T), alignof(T))) T{std::forward<Arguments>(arguments)...};
  }
  /// A copy of the bytes.
  std::string_view keep(std::string_view text);
  /// Room for a string of `size` bytes.
  char* room(size_t size);

  void step(int64_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.steps) too_many_steps();
  }
  /// The work of looking at or copying so many bytes.
  void step_bytes(size_t bytes) { step(static_cast<int64_t>(bytes / 64)); }
  void use_memory(size_t bytes) {
    memory_ += bytes;
    if (memory_ > limits_.memory) too_much_memory();
  }
  void check_items(size_t count) const {
    if (count > limits_.items) too_many_items();
  }
  void check_string(size_t bytes) const {
    if (bytes > limits_.string_bytes) too_long_string();
  }

 private:
  class Resource : public std::pmr::memory_resource {
   public:
    explicit Resource(Heap& heap) : heap_(heap) {}

   private:
    void* do_allocate(size_t bytes, size_t alignment) override {
      heap_.use_memory(bytes);
      return blocks_.allocate(bytes, alignment);
    }
    void do_deallocate(void*, size_t, size_t) override {}
    bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }
    Heap& heap_;
    std::pmr::monotonic_buffer_resource blocks_;
  };
  [[noreturn]] void too_many_steps() const;
  [[noreturn]] void too_much_memory() const;
  [[noreturn]] void too_many_items() const;
  [[noreturn]] void too_long_string() const;

  TemplateLimits limits_;
  int64_t steps_ = 0;
  size_t memory_ = 0;
  Resource resource_;
};

}  // namespace incipit::jinja
