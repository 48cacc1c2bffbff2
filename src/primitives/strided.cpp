#include "primitives/strided.h"

#include <algorithm>
#include <cstring>

namespace incipit::primitives {
namespace {

// Axes of one element go, and neighbours that are as one axis become one.
void simplify(Shape& shape, std::vector<int64_t>& strides) {
  size_t kept = 0;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 1) continue;
    if (kept > 0 && strides[kept - 1] == strides[axis] * shape[axis]) {
      shape[kept - 1] *= shape[axis];
      strides[kept - 1] = strides[axis];
    } else {
      shape[kept] = shape[axis];
      strides[kept++] = strides[axis];
    }
  }
  shape.resize(kept);
  strides.resize(kept);
}

// A row of `count` elements.
template <typename T>
void copy_row(const T* from, int64_t count, int64_t stride, T* to) {
  if (stride == 1) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
  } else if (stride == 0) {
    std::fill_n(to, count, *from);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i * stride];
  }
}

// rows × columns elements, where the source has the rows together and the target the columns: in squares, so that the
// lines of either stay in the cache while they are used.
template <typename T>
void copy_turned(const T* from, int64_t rows, int64_t columns, int64_t column_stride, T* to, int64_t row_stride) {
  constexpr int64_t side = 16;
  for (int64_t row = 0; row < rows; row += side) {
    const int64_t row_end = std::min(rows, row + side);
    for (int64_t column = 0; column < columns; column += side) {
      const int64_t column_end = std::min(columns, column + side);
      for (int64_t i = row; i < row_end; ++i) {
        for (int64_t j = column; j < column_end; ++j) to[i * row_stride + j] = from[i + j * column_stride];
      }
    }
  }
}

template <typename T>
void copy(const T* from, Shape shape, std::vector<int64_t> strides, T* to) {
  if (shape.empty()) {
    *to = *from;
    return;
  }
  std::vector<int64_t> to_strides = dense_strides(shape);
  const int64_t columns = shape.back(), column_stride = strides.back();
  shape.pop_back(), strides.pop_back(), to_strides.pop_back();
  int64_t rows = 1, row_stride = 0;
  const auto together = std::find(strides.begin(), strides.end(), 1);
  if (column_stride != 1 && column_stride != 0 && together != strides.end()) {
    const auto axis = together - strides.begin();
    rows = shape[static_cast<size_t>(axis)];
    row_stride = to_strides[static_cast<size_t>(axis)];
    shape.erase(shape.begin() + axis), strides.erase(together), to_strides.erase(to_strides.begin() + axis);
  }
  std::vector<int64_t> at(shape.size(), 0);
  for (;;) {
    if (row_stride == 0) {
      copy_row(from, columns, column_stride, to);
    } else {
      copy_turned(from, rows, columns, column_stride, to, row_stride);
    }
    size_t axis = shape.size();
    for (; axis > 0; --axis) {
      const size_t a = axis - 1;
      from += strides[a], to += to_strides[a];
      if (++at[a] < shape[a]) break;
      from -= strides[a] * shape[a], to -= to_strides[a] * shape[a];
      at[a] = 0;
    }
    if (axis == 0) return;
  }
}

}  // namespace

int64_t count_of(const Shape& shape, size_t first, size_t end) {
  return element_count(std::span(shape).subspan(first, end - first));
}

std::vector<int64_t> dense_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size());
  for (size_t axis = 0; axis < shape.size(); ++axis) strides[axis] = count_of(shape, axis + 1, shape.size());
  return strides;
}

void copy_strided(const std::byte* from, Shape shape, std::vector<int64_t> strides, size_t element_bytes,
                  std::byte* to) {
  if (element_count(shape) == 0) return;
  simplify(shape, strides);
  with_word_type(element_bytes, [&]<typename T>(ElementTag<T>) {
    copy(reinterpret_cast<const T*>(from), std::move(shape), std::move(strides), reinterpret_cast<T*>(to));
  });
}

}  // namespace incipit::primitives
