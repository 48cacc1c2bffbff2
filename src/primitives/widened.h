// Elements in the few types that sums and comparisons are done in, so that the code for those is made for four types.
#pragma once

#include "base/tensor.h"
#include "primitives/element_types.h"

namespace incipit::primitives {

/// f32 for the halves, i64 for bool and the integers but u64; f32, f64 and u64 are wide themselves.
DType wide_dtype(DType dtype);
/// The tensor itself where it is wide, else `storage`, which gets its elements.
const Tensor& widened(const Tensor& tensor, Tensor& storage);
/// The elements of a wide tensor in `dtype`, of which they are the wide form: halves are rounded, integers wrap.
Tensor narrowed(Tensor wide, DType dtype);

/// `call(ElementTag<T>{})` for a wide dtype.
template <typename F>
decltype(auto) with_wide_type(DType dtype, F&& call) {
  switch (dtype) {
    case DType::f32: return call(ElementTag<float>{});
    case DType::f64: return call(ElementTag<double>{});
    case DType::i64: return call(ElementTag<int64_t>{});
    case DType::u64: return call(ElementTag<uint64_t>{});
    default: break;
  }
  INCIPIT_ASSERT(!"wide dtype");
  __builtin_unreachable();
}

}  // namespace incipit::primitives
