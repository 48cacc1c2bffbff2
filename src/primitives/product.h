// Dense matrix products: what MatMul, Einsum and attention have in common.
#pragma once

#include <cstdint>

namespace incipit::primitives {

/// c[m, n] += a[m, k] · b[k, n], all dense and row-major, for T float, double or uint64_t (which wraps, so that it
/// serves signed integers too). Sums over k run in order in one accumulator, so that a row of c does not depend on m.
template <typename T>
void add_product(const T* a, const T* b, T* c, int64_t m, int64_t k, int64_t n);

}  // namespace incipit::primitives
