#include "primitives/concat.h"

#include <cstring>
#include <numeric>

#include "primitives/rule.h"

namespace incipit::primitives {

Outputs Concat::compute(Inputs inputs) const {
  const Tensor& first = required_input(op_name, inputs, 0);
  const size_t along = normal_axis(op_name, axis, first.shape().size());
  Shape shape = first.shape();
  shape[along] = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& part = required_input(op_name, inputs, i);
    Shape expected = part.shape();
    if (expected.size() == shape.size()) shape[along] += expected[along], expected[along] = first.shape()[along];
    if (expected != first.shape() || part.dtype() != first.dtype()) {
      throw Error(op_name, "input " + std::to_string(i) + " differs from the first in more than the joined axis");
    }
  }
  Tensor joined(first.dtype(), shape);
  // Everything from `along` on lies together in a part.
  const int64_t blocks =
      std::accumulate(shape.begin(), shape.begin() + static_cast<ptrdiff_t>(along), int64_t{1}, std::multiplies<>());
  std::byte* to = joined.data();
  for (int64_t block = 0; block < blocks; ++block) {
    for (const Tensor* part : inputs) {
      const size_t bytes = part->bytes() / static_cast<size_t>(blocks);
      if (bytes > 0) std::memcpy(to, part->data() + static_cast<size_t>(block) * bytes, bytes);
      to += bytes;
    }
  }
  return one_output(std::move(joined));
}

OutputTypes Concat::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  ValueType joined{rule.type(0).dtype, rule.type(0).shape};
  const size_t along = rule.axis(this->axis, joined.shape.size());
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

}  // namespace incipit::primitives
