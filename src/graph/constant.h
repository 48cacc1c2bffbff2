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

class Constant;
class MappedFile;
using ConstantPtr = std::shared_ptr<const Constant>;

/// Rows that come from a tensor of the model: element c of row r is the tensor's element first + r·row_step +
/// c·column_step, in row-major order, rounded, quantised or times a number as the case may be.
struct RowSource {
  std::string tensor;
  int64_t first = 0, rows = 0, row_step = 0, column_step = 1;
  std::string gain;  // the tensor that the columns were multiplied by; empty: none
};

/// An immutable tensor of known dtype and shape. "Rows" are slices along the first dimension (a vector's elements; a
/// scalar is one row).
class Constant {
 public:
  virtual ~Constant();

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t rows() const { return shape_.empty() ? 1 : shape_[0]; }
  int64_t row_elements() const;

  /// Writes rows [first, first + count) in dtype() to `out`, dense; `out` is aligned to the dtype.
  virtual void read(int64_t first, int64_t count, std::byte* out) const = 0;
  /// Elements [column, column + columns) of each of those rows, dense.
  virtual void read_columns(int64_t first, int64_t count, int64_t column, int64_t columns, std::byte* out) const;

  /// The same, converted to float.
  void read_floats(int64_t first, int64_t count, float* out) const;
  /// Everything, for small constants, references and tests.
  Tensor materialise() const;
  /// All elements of an integer constant.
  std::vector<int64_t> integers() const;
  /// Digest of dtype, shape and contents: equal constants are found by it (tied weights). Reads everything once.
  Digest digest() const;
  /// How the text form writes a constant that is made from nothing: "zeros", "random(seed, deviation)"; else empty.
  virtual std::string recipe() const { return {}; }
  /// Where rows [first, first + count) come from, one behind the other; empty where that is nothing named, or cannot be
  /// said so.
  virtual std::vector<RowSource> sources(int64_t first, int64_t count) const;
  /// The same elements in a shape of as many, where that needs no wrapper; else null. reshape() is what to call.
  virtual ConstantPtr reshaped(const Shape&) const { return nullptr; }

 protected:
  Constant(DType dtype, Shape shape);

 private:
  DType dtype_;
  Shape shape_;
  struct KnownDigest;
  std::unique_ptr<KnownDigest> known_digest_;
};

/// Owns its values.
ConstantPtr make_constant(Tensor tensor);
/// Views bytes that `owner` keeps alive (a mapped file). `data` need not be aligned.
ConstantPtr make_mapped_constant(DType dtype, Shape shape, const std::byte* data, std::shared_ptr<const void> owner);
/// The bytes from `offset` on of a mapped file. Pages that were read leave residence again, so that a checkpoint larger
/// than memory streams through.
ConstantPtr make_file_constant(DType dtype, Shape shape, std::shared_ptr<const MappedFile> file, size_t offset);
/// The same constant, as a tensor of the model: its sources are its own rows.
ConstantPtr name_tensor(ConstantPtr constant, std::string tensor);
/// All zeros; takes no memory. Throws Error for an impossible shape.
ConstantPtr make_zero_constant(DType dtype, Shape shape);
/// Pseudo-random values, nearly normal (the sum of four uniforms), with mean 0 and the given deviation: element i
/// depends only on (seed, i), so slabs agree, and on no machine's mathematics library. f32, f16 or bf16.
ConstantPtr make_random_constant(DType dtype, Shape shape, uint64_t seed, float deviation);

/// Rows of all parts, one after the other. Same dtype and row shape.
ConstantPtr concatenate_rows(std::vector<ConstantPtr> parts);
/// f32: row r, column c of `matrix` [n, k] (any dtype) times column_factors[c], which are read now.
ConstantPtr scale_columns(ConstantPtr matrix, ConstantPtr column_factors);
/// f32: everything (of any dtype) times a number.
ConstantPtr scale_all(ConstantPtr constant, float factor);
/// f32: everything (of any dtype) plus a number.
ConstantPtr add_to_all(ConstantPtr constant, float addend);
/// Rows [first, first + count).
ConstantPtr slice_rows(ConstantPtr constant, int64_t first, int64_t count);

/// Blocks of consecutive rows at a fixed distance: block i is rows [first + i·stride, first + i·stride + rows).
struct RowBlocks {
  int64_t first = 0, rows = 0, stride = 0, blocks = 0;
};
/// The blocks' rows, one block after the other: what belongs to one projection where heads are interleaved.
ConstantPtr select_rows(ConstantPtr constant, const RowBlocks& blocks);
/// [n, k] → [k, n]. Lazily: reads narrow columns of many rows, which a mapped file gives without reading the rest.
ConstantPtr transpose(ConstantPtr matrix);
/// The same elements in the same order in another shape of as many elements.
ConstantPtr reshape(ConstantPtr constant, Shape shape);
/// The same values rounded (to nearest even) to f32, f16 or bf16; the constant itself when it has that dtype.
ConstantPtr convert(ConstantPtr constant, DType dtype);

}  // namespace incipit
