// Heads of attention, as operators have them side by side in a row and primitives on an axis of their own.
#pragma once

#include "import/onnx/call.h"

namespace incipit::onnx {

/// x [B, S, heads·D] → [B, heads, S, D].
ValueId split_heads(Call& call, ValueId x, int64_t heads);
/// x [B, H, S, D] → [B, S, H·D].
ValueId join_heads(Call& call, ValueId x);
/// i64[1]: x's extent along an axis.
ValueId extent_of(Call& call, ValueId x, int64_t axis);
/// The extent of x's last axis; refuses the node where the build does not know it.
int64_t known_width(Call& call, ValueId x);
/// The attribute that says how many heads there are: a positive number.
int64_t head_count(const Call& call, std::string_view attribute);
/// `past`, then x, along the axis of positions of [B, H, S, D]; x where there is no past.
ValueId behind_past(Call& call, ValueId past, ValueId x);
/// The value in that dtype.
ValueId in_dtype(Call& call, ValueId x, DType dtype);

}  // namespace incipit::onnx
