// How the attributes of an op are seen by name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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
};

}  // namespace incipit
