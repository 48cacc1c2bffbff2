#include "text/template/heap.h"

#include <fmt/format.h>

#include <cstring>

#include "text/template/fault.h"

namespace incipit::jinja {

std::string_view Heap::keep(std::string_view text) {
  if (text.empty()) return {};
  char* const copy = room(text.size());
  std::memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

char* Heap::room(size_t size) {
  check_string(size);
  step_bytes(size);
  return static_cast<char*>(resource_.allocate(size, 1));
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
