#include "import/onnx/ops/heads.h"

namespace incipit::onnx {
namespace {

constexpr int64_t position_axis = 2;

const std::vector<Dim>& shape_of(const Call& call, ValueId x) { return call.graph().value(x).type.shape; }

void require_rank(const Call& call, ValueId x, size_t rank) {
  if (shape_of(call, x).size() != rank) {
    call.refuse("takes " + call.graph().value(x).type.text() + " where a tensor of rank " + std::to_string(rank) +
                " belongs");
  }
}

}  // namespace

ValueId split_heads(Call& call, ValueId x, int64_t heads) {
  require_rank(call, x, 3);
  // An extent that is known is said: -1 would not do for a tensor without elements.
  const std::optional<int64_t> row = shape_of(call, x)[2].try_constant();
  if (row && *row % heads != 0) {
    call.refuse("has rows of " + std::to_string(*row) + ", which " + std::to_string(heads) + " heads cannot share");
  }
  const ValueId split =
      call.add(primitives::Reshape{}, {x, call.list({0, 0, heads, row && *row > 0 ? *row / heads : -1})});
  return call.add(primitives::Transpose{{0, 2, 1, 3}}, {split});
}

ValueId join_heads(Call& call, ValueId x) {
  require_rank(call, x, 4);
  const std::optional<int64_t> row = (shape_of(call, x)[1] * shape_of(call, x)[3]).try_constant();
  const ValueId turned = call.add(primitives::Transpose{{0, 2, 1, 3}}, {x});
  return call.add(primitives::Reshape{}, {turned, call.list({0, 0, row && *row > 0 ? *row : -1})});
}

ValueId extent_of(Call& call, ValueId x, int64_t axis) { return call.add(primitives::ShapeOf{axis, axis + 1}, {x}); }

int64_t known_width(Call& call, ValueId x) {
  const std::vector<Dim>& shape = shape_of(call, x);
  const std::optional<int64_t> width = shape.empty() ? std::nullopt : shape.back().try_constant();
  if (!width || *width <= 0) call.refuse("does not say in the build how large its heads are");
  return *width;
}

int64_t head_count(const Call& call, std::string_view attribute) {
  const int64_t heads = call.required_integer(attribute);
  if (heads <= 0) call.refuse("has " + std::to_string(heads) + " for its " + std::string(attribute));
  return heads;
}

ValueId behind_past(Call& call, ValueId past, ValueId x) {
  return past == none ? x : call.add(primitives::Concat{position_axis}, {past, x});
}

ValueId in_dtype(Call& call, ValueId x, DType dtype) {
  if (call.graph().value(x).type.dtype == dtype) return x;
  return call.add(primitives::Cast{dtype}, {x});
}

}  // namespace incipit::onnx
