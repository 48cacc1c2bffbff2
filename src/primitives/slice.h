#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// data, starts [n], ends [n], axes [n] (absent: the first n), steps [n] (absent: 1), of i32 or i64 →
/// data[start:end:step] along each of these axes, as Python understands it.
struct Slice {
  static constexpr std::string_view op_name = "Slice";
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// What a slice takes of an axis: elements first, first + step …, `count` of them.
struct SliceRange {
  int64_t first = 0, step = 1, count = 0;
};
/// Python's slice of an axis of that extent; throws Error for a step of 0.
SliceRange slice_range(int64_t extent, int64_t start, int64_t end, int64_t step);

/// data, sizes i64[n] (absent: equal ones, the last of which may be smaller) → data cut along `axis` into that many
/// parts.
struct Split {
  static constexpr std::string_view op_name = "Split";
  int64_t axis = 0;
  int64_t num_outputs = 1;
  static constexpr int64_t max_outputs = 1 << 16;
  template <typename V>
  void fields(V& v) {
    v.visit("axis", axis);
    v.visit("num_outputs", num_outputs);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// Where no sizes are given: the extents of `parts` parts.
std::vector<int64_t> equal_parts(int64_t extent, int64_t parts);

}  // namespace incipit::primitives
