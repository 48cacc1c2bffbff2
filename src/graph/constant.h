// Constants of a graph: weights that may be far larger than memory, so they are read in slabs of rows and never
// have to be whole anywhere. A pass that merges or scales weights makes a new Constant that computes its rows from
// others; the bytes are first touched when the engine is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/tensor.h"

namespace incipit {

/// An immutable tensor of known dtype and shape. "Rows" are slices along the first dimension (a vector's elements; a
/// scalar is one row).
class Constant {
 public:
  virtual ~Constant() = default;

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t rows() const { return shape_.empty() ? 1 : shape_[0]; }
  int64_t row_elements() const;

  /// Writes rows [first, first + count) in dtype() to `out`, dense.
  virtual void read(int64_t first, int64_t count, std::byte* out) const = 0;

  /// The same, converted to float.
  void read_floats(int64_t first, int64_t count, float* out) const;
  /// Everything, for small constants, references and tests.
  Tensor materialise() const;
  /// All elements of an integer constant.
  std::vector<int64_t> integers() const;
  /// Digest of dtype, shape and contents: equal constants are found by it (tied weights).
  Digest digest() const;

 protected:
  Constant(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)) {}

 private:
  DType dtype_;
  Shape shape_;
};

using ConstantPtr = std::shared_ptr<const Constant>;

/// Owns its values.
ConstantPtr make_constant(Tensor tensor);
/// Views bytes that `owner` keeps alive (a mapped file). `data` need not be aligned.
ConstantPtr make_mapped_constant(DType dtype, Shape shape, const std::byte* data, std::shared_ptr<const void> owner);
/// Pseudo-random normal values with the given deviation: element i depends only on (seed, i), so slabs agree.
ConstantPtr make_random_constant(DType dtype, Shape shape, uint64_t seed, float deviation);

/// Rows of all parts, one after the other. Same dtype and row shape.
ConstantPtr concatenate_rows(std::vector<ConstantPtr> parts);
/// f32: row r, column c of `matrix` [n, k] times column_factors[c].
ConstantPtr scale_columns(ConstantPtr matrix, ConstantPtr column_factors);
/// f32: everything times a number.
ConstantPtr scale_all(ConstantPtr constant, float factor);
/// Rows [first, first + count).
ConstantPtr slice_rows(ConstantPtr constant, int64_t first, int64_t count);
/// [n, k] → [k, n]. Materialises.
ConstantPtr transpose(ConstantPtr matrix);

}  // namespace incipit
