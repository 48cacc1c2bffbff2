// How the attributes of an op are seen by name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/enumeration.h"

namespace incipit {

/// Sees attributes by name: the text form's printer and parser, comparison, lowering and the plan use it.
class AttributeVisitor {
 public:
  virtual ~AttributeVisitor() = default;
  virtual void visit(std::string_view name, int64_t& value) = 0;
  virtual void visit(std::string_view name, float& value) = 0;
  virtual void visit(std::string_view name, bool& value) = 0;
  virtual void visit(std::string_view name, std::string& value) = 0;
  virtual void visit(std::string_view name, std::vector<int64_t>& value) = 0;
  /// One of some words, as its place among them.
  virtual void visit(std::string_view name, std::span<const std::string_view> words, size_t& chosen) = 0;

  /// An enumeration is one of its names.
  template <Enumeration E>
  void visit(std::string_view name, E& value) {
    auto chosen = static_cast<size_t>(value);
    visit(name, enumeration_names(value), chosen);
    value = static_cast<E>(chosen);
  }
};

}  // namespace incipit
