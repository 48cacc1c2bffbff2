// Looking for what is no number among floating elements.
#pragma once

#include <cstddef>
#include <span>

#include "base/dtype.h"

namespace incipit {

enum class NotFinite { nan, any };  // `any`: infinities too

/// The first of `count` dense elements at `values` (of any alignment) that is NaN, or infinite where `what` says so;
/// `count` when there is none, as of integers. Costs little beside reading them.
size_t find_not_finite(DType dtype, const std::byte* values, size_t count, NotFinite what);

inline size_t find_not_finite(std::span<const float> values, NotFinite what) {
  return find_not_finite(DType::f32, std::as_bytes(values).data(), values.size(), what);
}

}  // namespace incipit
