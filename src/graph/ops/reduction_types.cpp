// Shape rules of the primitives that reduce axes.
#include "graph/ops/primitive.h"
#include "graph/ops/primitive_rule.h"

namespace incipit::ops {

OutputTypes infer_types(const primitives::Reduce& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  const ValueType& data = rule.type(0);
  const size_t rank = data.shape.size();
  std::optional<std::vector<int64_t>> axes(std::in_place);
  if (rule.has(1)) {
    const size_t count = rule.list_length(1);
    if (count > 0) axes = rule.numbers(1);
    if (!axes) {
      rule.require(count <= rank, "more axes are reduced than there are");
      return {{data.dtype, std::vector<Dim>(op.keepdims ? rank : rank - count, Dim::unknown())}};
    }
  }
  ValueType result{data.dtype, {}};
  const std::vector<bool> gone = op.reduced_axes(*axes, rank);
  for (size_t axis = 0; axis < rank; ++axis) {
    if (!gone[axis]) {
      result.shape.push_back(data.shape[axis]);
    } else if (op.keepdims) {
      result.shape.push_back(1);
    }
  }
  // Numbers of elements are computed so.
  const std::vector<Dim>* contents = rule.contents(0);
  const bool is_sum = op.kind == op.sum;
  if (contents != nullptr && data.dtype == DType::i64 && rank == 1 && gone[0] && (is_sum || op.kind == op.prod)) {
    Dim total = is_sum ? Dim(0) : product(*contents, 0, contents->size());
    for (size_t i = 0; is_sum && i < contents->size(); ++i) total = total + (*contents)[i];
    give_contents(result, {total});
  }
  return {result};
}

OutputTypes infer_types(const primitives::ArgReduce& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  ValueType result{DType::i64, rule.type(0).shape};
  const size_t along = rule.axis(op.axis, result.shape.size());
  result.shape[along] = 1;
  if (!op.keepdims) result.shape.erase(result.shape.begin() + static_cast<ptrdiff_t>(along));
  return {result};
}

}  // namespace incipit::ops
