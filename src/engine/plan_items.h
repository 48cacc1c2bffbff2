// Reading vectors of the plan: FlatBuffers leaves an empty vector out, which reads as a null pointer.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/plan_generated.h"

namespace incipit {

template <typename T>
uint32_t count(const flatbuffers::Vector<T>* items) {
  return items == nullptr ? 0 : items->size();
}

/// For range-based loops over a vector that may be absent.
template <typename T>
class Items {
 public:
  explicit Items(const flatbuffers::Vector<T>* items) : items_(items) {}
  auto begin() const { return items_ == nullptr ? Iterator() : items_->begin(); }
  auto end() const { return items_ == nullptr ? Iterator() : items_->end(); }

 private:
  using Iterator = typename flatbuffers::Vector<T>::const_iterator;
  const flatbuffers::Vector<T>* items_;
};

template <typename T>
Items<T> items(const flatbuffers::Vector<T>* vector) {
  return Items<T>(vector);
}

/// The text of a string that may be absent.
inline std::string_view text(const flatbuffers::String* string) {
  return string == nullptr ? std::string_view() : string->string_view();
}

}  // namespace incipit
