#include "primitives/broadcast.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace incipit::primitives {

Shape broadcast_shape(std::string_view op, const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape shape = longer;
  const size_t ahead = longer.size() - shorter.size();
  for (size_t axis = 0; axis < shorter.size(); ++axis) {
    int64_t& extent = shape[ahead + axis];
    if (extent == shorter[axis] || shorter[axis] == 1) continue;
    if (extent != 1) {
      throw Error(op, "extents " + std::to_string(extent) + " and " + std::to_string(shorter[axis]) +
                          " do not broadcast against one another");
    }
    extent = shorter[axis];
  }
  return shape;
}

BroadcastWalk::BroadcastWalk(const Shape& result, std::span<const Shape* const> operands) {
  INCIPIT_ASSERT(operands.size() <= most_operands);
  if (element_count(result) == 0) {
    run_ = 0;
    return;
  }
  Offsets dense;  // strides of the operands' own axes
  dense.fill(1);
  for (size_t axis = result.size(); axis-- > 0;) {
    Axis next{result[axis], {}};
    for (size_t i = 0; i < operands.size(); ++i) {
      const Shape& shape = *operands[i];
      INCIPIT_ASSERT(shape.size() <= result.size());
      const size_t ahead = result.size() - shape.size();
      const int64_t extent = axis < ahead ? 1 : shape[axis - ahead];
      INCIPIT_ASSERT(extent == next.extent || extent == 1);
      next.strides[i] = extent == 1 ? 0 : dense[i];
      dense[i] *= extent;
    }
    if (next.extent == 1) continue;
    if (!axes_.empty()) {
      // Goes on where the axis inside of it ends.
      Axis& inner = axes_.back();
      bool goes_on = true;
      for (size_t i = 0; i < operands.size(); ++i) {
        goes_on = goes_on && next.strides[i] == inner.strides[i] * inner.extent;
      }
      if (goes_on) {
        inner.extent *= next.extent;
        continue;
      }
    }
    axes_.push_back(next);
  }
  std::reverse(axes_.begin(), axes_.end());
  if (!axes_.empty()) {
    run_ = axes_.back().extent;
    steps_ = axes_.back().strides;
    axes_.pop_back();
  }
}

}  // namespace incipit::primitives
