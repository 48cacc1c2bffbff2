#include "primitives/product.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/cpu.h"

namespace incipit::primitives {
namespace {

constexpr int64_t vector_bytes = 64;
/// As many accumulators as AVX2's sixteen registers hold beside a row of b, at two registers each.
constexpr int64_t block_rows = 6;
/// A panel of b is that many rows of one vector: 16 KiB, half of a first-level cache.
constexpr int64_t panel_depth = 256;
/// Fewer rows of a than that do not repay the packing of b.
constexpr int64_t least_packed_rows = 4;

template <typename T>
constexpr int64_t lanes = vector_bytes / static_cast<int64_t>(sizeof(T));

/// c[rows, width] += a[rows, depth] · panel[depth, lanes], for up to block_rows rows and lanes columns. Rows that are
/// not there repeat the last one and are not stored.
template <typename T>
[[gnu::always_inline]] inline void add_block(const T* a, int64_t a_stride, const T* panel, int64_t depth, T* c,
                                             int64_t c_stride, int64_t rows, int64_t width) {
  typedef T Vector __attribute__((vector_size(vector_bytes)));
  const T* lines[block_rows];
  Vector sums[block_rows] = {};
  const auto bytes = static_cast<size_t>(width) * sizeof(T);
  for (int64_t r = 0; r < block_rows; ++r) {
    const int64_t row = std::min(r, rows - 1);
    lines[r] = a + row * a_stride;
    std::memcpy(&sums[r], c + row * c_stride, bytes);
  }
  for (int64_t i = 0; i < depth; ++i) {
    Vector b;
    std::memcpy(&b, panel + i * lanes<T>, sizeof(b));
#pragma GCC unroll 6
    for (int64_t r = 0; r < block_rows; ++r) sums[r] += lines[r][i] * b;
  }
  for (int64_t r = 0; r < rows; ++r) std::memcpy(c + r * c_stride, &sums[r], bytes);
}

/// c += b · factor, for `width` elements.
template <typename T>
[[gnu::always_inline]] inline void add_scaled(const T* b, T factor, T* c, int64_t width) {
  typedef T Vector __attribute__((vector_size(vector_bytes)));
  for (; width >= lanes<T>; width -= lanes<T>, b += lanes<T>, c += lanes<T>) {
    Vector from, to;
    std::memcpy(&from, b, sizeof(from));
    std::memcpy(&to, c, sizeof(to));
    to += factor * from;
    std::memcpy(c, &to, sizeof(to));
  }
  for (int64_t i = 0; i < width; ++i) c[i] += factor * b[i];
}

template <typename T>
struct Product {
  const T* a;
  const T* b;
  T* c;
  int64_t m, k, n;
  T* panel;  // lanes · panel_depth
};

template <typename T>
[[gnu::always_inline]] inline void run(const Product<T>& p) {
  if (p.m < least_packed_rows) {
    constexpr int64_t chunk = 2048;  // of c, which stays in the cache while b streams by
    for (int64_t column = 0; column < p.n; column += chunk) {
      const int64_t width = std::min(chunk, p.n - column);
      for (int64_t i = 0; i < p.k; ++i) {
        for (int64_t row = 0; row < p.m; ++row) {
          add_scaled(p.b + i * p.n + column, p.a[row * p.k + i], p.c + row * p.n + column, width);
        }
      }
    }
    return;
  }
  for (int64_t top = 0; top < p.k; top += panel_depth) {
    const int64_t depth = std::min(panel_depth, p.k - top);
    for (int64_t column = 0; column < p.n; column += lanes<T>) {
      const int64_t width = std::min(lanes<T>, p.n - column);
      for (int64_t i = 0; i < depth; ++i) {
        std::memcpy(p.panel + i * lanes<T>, p.b + (top + i) * p.n + column, static_cast<size_t>(width) * sizeof(T));
      }
      for (int64_t row = 0; row < p.m; row += block_rows) {
        add_block(p.a + row * p.k + top, p.k, p.panel, depth, p.c + row * p.n + column, p.n,
                  std::min(block_rows, p.m - row), width);
      }
    }
  }
}

#if defined(__x86_64__)
template <typename T>
[[gnu::target("avx2,fma")]] void run_avx2(const Product<T>& product) {
  run(product);
}
#if defined(__clang__)  // whose target has no such word
#define INCIPIT_WIDE_VECTORS ""
#else
#define INCIPIT_WIDE_VECTORS ",prefer-vector-width=512"
#endif
template <typename T>
[[gnu::target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma" INCIPIT_WIDE_VECTORS)]] void run_avx512(
    const Product<T>& product) {
  run(product);
}
#endif

}  // namespace

template <typename T>
void add_product(const T* a, const T* b, T* c, int64_t m, int64_t k, int64_t n) {
  if (m == 0 || k == 0 || n == 0) return;
  std::vector<T> panel(static_cast<size_t>(m < least_packed_rows ? 0 : lanes<T> * panel_depth));
  const Product<T> product{a, b, c, m, k, n, panel.data()};
#if defined(__x86_64__)
  static const CpuFeatures features = cpu_features();
  if (features.has(CpuFeature::avx512)) return run_avx512(product);
  if (features.has(CpuFeature::avx2)) return run_avx2(product);
#endif
  run(product);
}

template void add_product(const float*, const float*, float*, int64_t, int64_t, int64_t);
template void add_product(const double*, const double*, double*, int64_t, int64_t, int64_t);
template void add_product(const uint64_t*, const uint64_t*, uint64_t*, int64_t, int64_t, int64_t);

}  // namespace incipit::primitives
