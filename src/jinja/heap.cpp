#include "jinja/heap.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "jinja/fault.h"

namespace incipit::jinja {
Heap::Heap(const TemplateLimits& limits) : limits_(limits), resource_(*this) { plan_collection(); }

std::string_view Heap::keep(std::string_view text) {
  if (text.empty()) return {};
  char* const copy = room(text.size());
  std::memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

char* Heap::room(size_t size) {
  check_string(size);
  step_bytes(size);
  return add_text(size);
}

char* Heap::add_text(size_t size) {
  use_memory(sizeof(Text));
  char* const begin = static_cast<char*>(resource_.allocate(size, 1));
  texts_.push_back({begin, size, false});
  return begin;
}

std::string_view Heap::join(std::string_view left, std::string_view right) {
  if (left.empty()) return keep(right);
  const size_t size = left.size() + right.size();
  check_string(size);
  for (Rest& rest : rests_) {
    if (rest.begin != left.data() + left.size() || rest.size < right.size()) continue;
    step_bytes(right.size());
    std::memcpy(rest.begin, right.data(), right.size());
    rest.begin += right.size();
    rest.size -= right.size();
    return {left.data(), size};
  }
  step_bytes(size);
  constexpr size_t may_grow = 256;
  const size_t more = size < may_grow ? 0 : size;
  char* const begin = add_text(size + more);
  std::memcpy(begin, left.data(), left.size());
  std::memcpy(begin + left.size(), right.data(), right.size());
  if (more > 0) rests_[next_rest_++ % rests_.size()] = {begin + size, more};
  return {begin, size};
}

void Heap::begin_collection() { std::ranges::sort(texts_, std::less<>(), &Text::begin); }

bool Heap::mark(const void* object) {
  // The cell stands in front of its object.
  Cell* const cell = const_cast<Cell*>(static_cast<const Cell*>(object) - 1);
  return !std::exchange(cell->reached, true);
}

void Heap::mark_text(std::string_view text) {
  if (text.empty()) return;
  const auto behind = std::ranges::upper_bound(texts_, text.data(), std::less<>(), &Text::begin);
  if (behind == texts_.begin()) return;
  Text& found = *std::prev(behind);
  if (std::less<>()(text.data(), found.begin + found.size)) found.reached = true;
}

void Heap::end_collection() {
  auto looked_at = static_cast<int64_t>(texts_.size());
  for (Cell** link = &cells_; *link != nullptr;) {
    Cell* const cell = *link;
    ++looked_at;
    if (std::exchange(cell->reached, false)) {
      link = &cell->next;
      continue;
    }
    *link = cell->next;
    cell->destroy(cell + 1);
    resource_.deallocate(cell, cell->size, alignof(Cell));
  }
  std::erase_if(texts_, [&](Text& text) {
    if (std::exchange(text.reached, false)) return false;
    resource_.deallocate(text.begin, text.size, 1);
    release_memory(sizeof(Text));
    return true;
  });
  rests_ = {};
  plan_collection();
  step(looked_at);  // collections follow one another closely where almost all memory is in use
}

void Heap::plan_collection() {
  // Soon enough that what is dead does not go beyond the limit.
  const size_t most = limits_.memory > memory_ ? (limits_.memory - memory_) / 2 : 0;
  collect_beyond_ = memory_ + std::min(most, std::max(limits_.collect_after, memory_ / 4));
}

void Heap::too_many_steps() const {
  throw Fault(fmt::format("it takes more than {} steps and may never end", limits_.steps));
}

void Heap::too_much_memory() const {
  throw Fault(fmt::format("it makes more than {} MiB of values", limits_.memory >> 20));
}

void Heap::too_many_items() const { throw Fault(fmt::format("a list has more than {} items", limits_.items)); }

void Heap::too_long_string() const {
  throw Fault(fmt::format("a text is longer than {} MiB", limits_.string_bytes >> 20));
}

}  // namespace incipit::jinja
