// Shape rules of the primitives that only move elements.
#include "graph/ops/primitive.h"
#include "graph/ops/primitive_rule.h"

namespace incipit::ops {

OutputTypes infer_types(const primitives::Concat& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  ValueType joined{rule.type(0).dtype, rule.type(0).shape};
  const size_t along = rule.axis(op.axis, joined.shape.size());
  joined.shape[along] = 0;
  std::optional<std::vector<Dim>> contents(std::in_place);
  for (size_t i = 0; i < rule.count(); ++i) {
    const ValueType& part = rule.type(i);
    rule.same_dtype(i, 0);
    rule.require(part.shape.size() == joined.shape.size(), "input " + std::to_string(i) + " has another rank");
    for (size_t axis = 0; axis < part.shape.size(); ++axis) {
      joined.shape[axis] = axis == along ? joined.shape[axis] + part.shape[axis]
                                         : same_extent(rule, joined.shape[axis], part.shape[axis]);
    }
    if (contents && rule.contents(i) != nullptr) {
      contents->insert(contents->end(), rule.contents(i)->begin(), rule.contents(i)->end());
    } else {
      contents.reset();
    }
  }
  if (contents) give_contents(joined, std::move(*contents));
  return {joined};
}

}  // namespace incipit::ops
