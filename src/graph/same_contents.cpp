#include "graph/same_contents.h"

#include <algorithm>

#include "base/progress.h"

namespace incipit {

bool same_contents(const Constant& a, const Constant& b) {
  if (&a == &b) return true;
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  const int64_t row = a.row_elements();
  if (a.rows() == 0 || row == 0) return true;
  const size_t size = size_of(a.dtype());
  std::vector<std::byte> left, right;
  const auto equal = [&](int64_t first, int64_t count, int64_t columns) {
    left.resize(static_cast<size_t>(count * columns) * size);
    right.resize(left.size());
    a.read_columns(first, count, 0, columns, left.data());
    b.read_columns(first, count, 0, columns, right.data());
    return left == right;
  };
  // Weights that differ do so at once; a whole row may be all of a transposed matrix to read.
  if (!equal(0, 1, std::min<int64_t>(row, 16))) return false;
  const int64_t step = std::max<int64_t>(1, (int64_t{1} << 20) / (row * static_cast<int64_t>(size)));
  for (int64_t first = 0; first < a.rows(); first += step) {
    check_interrupt();  // tables of a gigabyte may come from a slow disk
    if (!equal(first, std::min(step, a.rows() - first), row)) return false;
  }
  return true;
}

}  // namespace incipit
