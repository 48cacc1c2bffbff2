#pragma once

#include <utility>

#include "primitives/primitive.h"

namespace incipit::primitives {

/// The extents of axes [start, end) of its input, i64[n]. Negative bounds count from the end; what lies outside of the
/// tensor's axes is left out.
struct ShapeOf {
  static constexpr std::string_view op_name = "Shape";
  int64_t start = 0;
  int64_t end = INT64_MAX;
  template <typename V>
  void fields(V& v) {
    v.visit("start", start);
    v.visit("end", end);
  }
  /// Those axes of a tensor of that rank, as [first, second) with first ≤ second.
  std::pair<size_t, size_t> axes(size_t rank) const;
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// How many elements its input has, i64[].
struct Size {
  static constexpr std::string_view op_name = "Size";
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
