// Weights whose reading refuses what is no number.
#pragma once

#include <string>

#include "base/finite.h"
#include "graph/constant.h"

namespace incipit {

/// The same values: reading some that are NaN (or infinite, as `what` says) throws Error naming `thing` and the row.
/// Whatever computes with such a weight gives NaN sooner or later.
ConstantPtr refuse_not_finite(ConstantPtr source, std::string thing, NotFinite what);

/// The Error for the element at `index` of `values`, which lie in rows of `width` from `first_row` on.
[[noreturn]] void throw_not_finite(const std::string& thing, DType dtype, const std::byte* values, size_t index,
                                   int64_t first_row, int64_t width);

}  // namespace incipit
