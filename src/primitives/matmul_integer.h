// Products of matrices of codes.
#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// a i8 or u8 [..., M, K], b i8 or u8 [..., K, N], zero of a? ([], [1], [M] or [..., M, 1]), zero of b? ([], [1], [N]
/// or [..., 1, N]) → i32 [..., M, N] = (a − zero)·(b − zero), sums modulo 2^32. Leading axes broadcast; a of rank 1 is
/// a row and b of rank 1 a column whose axis the result does not have.
struct MatMulInteger {
  static constexpr std::string_view op_name = "MatMulInteger";
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
