// Whether two ops do the same.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "graph/op.h"

namespace incipit {

/// An op's attributes as plain values, in order.
class AttributeValues : public AttributeVisitor {
 public:
  using Attribute = std::variant<int64_t, float, bool, std::string, std::vector<int64_t>>;
  void visit(std::string_view, int64_t& value) override { values.emplace_back(value); }
  void visit(std::string_view, float& value) override { values.emplace_back(value); }
  void visit(std::string_view, bool& value) override { values.emplace_back(value); }
  void visit(std::string_view, std::string& value) override { values.emplace_back(value); }
  void visit(std::string_view, std::vector<int64_t>& value) override { values.emplace_back(value); }
  void visit(std::string_view, std::span<const std::string_view> words, size_t& chosen) override {
    values.emplace_back(std::string(words[chosen]));
  }
  std::vector<Attribute> values;
};

/// Same kind, same attributes and the same bodies.
inline bool same_op(const Op& a, const Op& b) {
  if (a.name() != b.name() || a.bodies() != b.bodies()) return false;
  AttributeValues left, right;
  a.clone()->attributes(left);
  b.clone()->attributes(right);
  return left.values == right.values;
}

}  // namespace incipit
