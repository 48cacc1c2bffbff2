#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// start, limit, delta (one element each) → start, start + delta … as long as the limit is not reached.
struct Range {
  static constexpr std::string_view op_name = "Range";
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

/// How many numbers a range of integers has; throws Error for a delta of 0.
int64_t range_count(int64_t start, int64_t limit, int64_t delta);

}  // namespace incipit::primitives
