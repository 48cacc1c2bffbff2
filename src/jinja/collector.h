// Which values of a rendering are still led to.
#pragma once

#include <vector>

#include "jinja/interpreter.h"

namespace incipit::jinja {

/// One collection of a heap: keeps what it is told, whatever that leads to, and nothing else.
class Collector {
 public:
  explicit Collector(Heap& heap) : heap_(heap) { heap_.begin_collection(); }
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  void keep(const Value& value);
  /// A scope that was made in the heap, and those around it; or null.
  void keep(Scope* scope);
  /// Frees the rest.
  void finish();

 private:
  void keep(List* list);
  void keep_parts(const Value& value);

  Heap& heap_;
  std::vector<Value> marked_;  // what they lead to is not kept yet
};

}  // namespace incipit::jinja
