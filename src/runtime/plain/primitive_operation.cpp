#include <fmt/format.h>

#include <map>
#include <string>
#include <string_view>

#include "base/error.h"
#include "engine/plan_items.h"
#include "runtime/plain/operation.h"

namespace incipit {
namespace {

constexpr std::string_view remedy = "build the engine again with this incipit";

/// Sets a primitive's attributes to the plan's.
class AttributeReader final : public AttributeVisitor {
 public:
  explicit AttributeReader(const plan::Operation& operation) {
    for (const plan::Attribute* attribute : items(operation.attributes())) {
      attributes_.emplace(text(attribute->name()), attribute);
    }
  }
  void visit(std::string_view name, int64_t& value) override {
    if (const auto* found = take(name, plan::AttributeKind::integer)) value = found->integer();
  }
  void visit(std::string_view name, float& value) override {
    if (const auto* found = take(name, plan::AttributeKind::number)) value = found->number();
  }
  void visit(std::string_view name, bool& value) override {
    if (const auto* found = take(name, plan::AttributeKind::flag)) value = found->integer() != 0;
  }
  void visit(std::string_view name, std::string& value) override {
    if (const auto* found = take(name, plan::AttributeKind::text)) value = text(found->text());
  }
  void visit(std::string_view name, std::vector<int64_t>& value) override {
    const auto* found = take(name, plan::AttributeKind::integers);
    if (found == nullptr) return;
    const auto numbers = items(found->integers());
    value.assign(numbers.begin(), numbers.end());
  }
  void visit(std::string_view name, std::span<const std::string_view> words, size_t& chosen) override {
    const auto* attribute = take(name, plan::AttributeKind::text);
    if (attribute == nullptr) return;
    const std::optional<size_t> found = find_word(words, text(attribute->text()));
    if (!found) refuse(fmt::format("attribute '{}' cannot be '{}'", name, text(attribute->text())));
    chosen = *found;
  }
  void finish(std::string_view op) const {
    for (const auto& [name, attribute] : attributes_) refuse(fmt::format("{} has no attribute '{}'", op, name));
  }

 private:
  [[noreturn]] static void refuse(const std::string& fault) { throw Error("its plan", fault, remedy); }
  /// Null where the plan does not have it: then the primitive's own default stands.
  const plan::Attribute* take(std::string_view name, plan::AttributeKind kind) {
    const auto found = attributes_.find(name);
    if (found == attributes_.end()) return nullptr;
    const plan::Attribute* attribute = found->second;
    if (attribute->kind() != kind) refuse(fmt::format("attribute '{}' is of another kind", name));
    attributes_.erase(found);
    return attribute;
  }
  std::map<std::string_view, const plan::Attribute*> attributes_;
};

class PrimitiveOperation final : public PlainOperation {
 public:
  explicit PrimitiveOperation(std::unique_ptr<primitives::AnyPrimitive> primitive) : primitive_(std::move(primitive)) {}
  primitives::Outputs compute(primitives::Inputs inputs) override { return primitive_->compute(inputs); }

 private:
  std::unique_ptr<primitives::AnyPrimitive> primitive_;
};

}  // namespace

std::unique_ptr<PlainOperation> resolve_primitive(const plan::Operation& operation) {
  std::unique_ptr<primitives::AnyPrimitive> primitive = primitives::make_primitive(text(operation.op()));
  if (primitive == nullptr) {
    throw Error("its plan", fmt::format("there is no primitive '{}' in this incipit", text(operation.op())), remedy);
  }
  AttributeReader reader(operation);
  primitive->attributes(reader);
  reader.finish(primitive->name());
  return std::make_unique<PrimitiveOperation>(std::move(primitive));
}

}  // namespace incipit
