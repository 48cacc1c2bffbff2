// Python's operators on values.
#pragma once

#include <optional>

#include "jinja/syntax.h"
#include "jinja/value.h"

namespace incipit::jinja {

/// An arithmetic operator, on texts and lists too. Throws Fault for what Python refuses, and for integers beyond 64
/// bits.
Value apply(Heap& heap, Operator which, const Value& left, const Value& right);
Value negative(const Value& value);
Value positive(const Value& value);
/// A comparison, or (not) in.
bool holds(Heap& heap, Operator which, const Value& left, const Value& right);
bool contains(Heap& heap, const Value& container, const Value& item);

/// `object[start:stop:step]`; bounds that are absent or none count as left out.
Value slice(Heap& heap, const Value& object, const std::optional<Value>& start, const std::optional<Value>& stop,
            const std::optional<Value>& step);

/// len(); nothing for what has none.
std::optional<int64_t> length(const Value& value);

/// The items of what can be iterated over, one after another. Throws Fault for what cannot.
class Cursor {
 public:
  explicit Cursor(const Value& iterable);
  bool next(Heap& heap, Value& item);
  const Value& iterable() const { return iterable_; }

 private:
  Value iterable_;
  size_t position_ = 0;
};

/// All items, as a new list.
List* collect(Heap& heap, const Value& iterable);
bool can_iterate(const Value& value);

}  // namespace incipit::jinja
