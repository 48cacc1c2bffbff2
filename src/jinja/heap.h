// What a rendering makes, and what it may use up.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/jinja_template.h"

namespace incipit::jinja {

/// Owns every value of one rendering, so that values are plain pointers and may hold one another in a circle. What
/// nothing leads to any more is freed by a collection, which marks the rest (collector.h). Counts steps, and the bytes
/// of what was not freed; beyond a limit it throws Fault.
class Heap {
 public:
  explicit Heap(const TemplateLimits& limits);
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  const TemplateLimits& limits() const { return limits_; }
  std::pmr::memory_resource* resource() { return &resource_; }

  /// Destroyed by a collection or with the heap, where its destructor is not run: T must leave nothing behind but
  /// memory of this heap.
  template <typename T, typename... Arguments>
  T* make(Arguments&&... arguments) {
    static_assert(alignof(T) <= alignof(Cell));
    Cell* const cell = static_cast<Cell*>(resource_.allocate(sizeof(Cell) + sizeof(T), alignof(Cell)));
    T* const object = new (cell + 1) T{std::forward<Arguments>(arguments)...};
    *cell = {cells_, [](void* thing) { static_cast<T*>(thing)->~T(); }, sizeof(Cell) + sizeof(T), false};
    cells_ = cell;
    return object;
  }
  /// A copy of the bytes.
  std::string_view keep(std::string_view text);
  /// Room for a string of `size` bytes.
  char* room(size_t size);
  /// Both texts as one. Where `left` is the end of one that was joined here, that one grows: a text that is built up
  /// piece by piece is copied a few times, and not once a piece.
  std::string_view join(std::string_view left, std::string_view right);

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
  void release_memory(size_t bytes) { memory_ -= bytes; }
  void check_items(size_t count) const {
    if (count > limits_.items) too_many_items();
  }
  void check_string(size_t bytes) const {
    if (bytes > limits_.string_bytes) too_long_string();
  }

  /// Whether so much was made since the last collection that another one pays.
  bool wants_collection() const { return memory_ > collect_beyond_; }
  void begin_collection();
  /// Keeps an object of make(). True the first time in a collection: what it leads to must be kept too.
  bool mark(const void* object);
  /// Keeps the text that these bytes lie in, if it is this heap's.
  void mark_text(std::string_view text);
  void end_collection();

 private:
  struct alignas(std::max_align_t) Cell {
    Cell* next;
    void (*destroy)(void*);
    uint32_t size;
    bool reached;
  };
  struct Text {
    char* begin;
    size_t size;
    bool reached;
  };
  /// The unused rest of a text that was joined.
  struct Rest {
    char* begin = nullptr;
    size_t size = 0;
  };
  class Resource : public std::pmr::memory_resource {
   public:
    explicit Resource(Heap& heap) : heap_(heap) {}

   private:
    void* do_allocate(size_t bytes, size_t alignment) override {
      heap_.use_memory(bytes);
      return blocks_.allocate(bytes, alignment);
    }
    void do_deallocate(void* block, size_t bytes, size_t alignment) override {
      heap_.release_memory(bytes);
      blocks_.deallocate(block, bytes, alignment);
    }
    bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }
    Heap& heap_;
    std::pmr::unsynchronized_pool_resource blocks_;
  };
  char* add_text(size_t size);
  void plan_collection();
  [[noreturn]] void too_many_steps() const;
  [[noreturn]] void too_much_memory() const;
  [[noreturn]] void too_many_items() const;
  [[noreturn]] void too_long_string() const;

  TemplateLimits limits_;
  int64_t steps_ = 0;
  size_t memory_ = 0;
  size_t collect_beyond_ = 0;  // bytes in use before the next collection
  Resource resource_;
  Cell* cells_ = nullptr;
  std::vector<Text> texts_;
  std::array<Rest, 4> rests_{};  // as many texts may be built up by turns
  size_t next_rest_ = 0;
};

}  // namespace incipit::jinja
