#include "graph/quantized_constant.h"

#include <cstring>
#include <utility>

#include "graph/slabs.h"

namespace incipit {
namespace {

/// Op is a primitive that has an axis and a block.
template <typename Op>
class QuantizedConstant : public Constant {
 public:
  QuantizedConstant(const Op& op, DType dtype, ConstantPtr x, ConstantPtr scale, ConstantPtr zero)
      : Constant(dtype, x->shape()), op_(op), x_(std::move(x)), scale_(std::move(scale)), zero_(std::move(zero)) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    read_columns(first, count, 0, row_elements(), out);
  }

  void read_columns(int64_t first, int64_t count, int64_t column, int64_t columns, std::byte* out) const override {
    for_each_slab(count, columns, [&](int64_t start, int64_t rows) {
      const Part part{first + start, rows, column, columns};
      Tensor x(x_->dtype(), {rows, columns});
      x_->read_columns(part.first, rows, column, columns, x.data());
      const Tensor scale = scales(*scale_, part), zero = zero_ == nullptr ? Tensor() : scales(*zero_, part);
      Op op = op_;
      op.block = op_.block > 0 ? 1 : 0;
      const Tensor* const arguments[] = {&x, &scale, zero_ == nullptr ? nullptr : &zero};
      const primitives::Outputs made = op.compute(arguments);
      const size_t row_bytes = static_cast<size_t>(columns) * size_of(dtype());
      std::memcpy(out + static_cast<size_t>(start) * row_bytes, made.at(0).data(), made.at(0).bytes());
    });
  }

  std::vector<RowSource> sources(int64_t first, int64_t count) const override { return x_->sources(first, count); }

 private:
  struct Part {
    int64_t first, rows, column, columns;
  };

  /// Scales or zero points of a part; those of blocks are repeated, so that each element has its own.
  Tensor scales(const Constant& all, const Part& part) const {
    const bool is_single = op_.block == 0 && all.rows() * all.row_elements() == 1;
    if (is_single) return all.materialise();
    if (op_.block == 0) {
      const bool by_row = op_.axis == 0;
      Tensor some(all.dtype(), {by_row ? part.rows : part.columns});
      all.read(by_row ? part.first : part.column, by_row ? part.rows : part.columns, some.data());
      return some;
    }
    const int64_t row_block = op_.axis == 0 ? op_.block : 1, column_block = op_.axis == 1 ? op_.block : 1;
    const auto blocks = [](int64_t first, int64_t count, int64_t block) {
      return std::pair(first / block, (first + count - 1) / block - first / block + 1);
    };
    const auto [first_row, rows] = blocks(part.first, part.rows, row_block);
    const auto [first_column, columns] = blocks(part.column, part.columns, column_block);
    Tensor some(all.dtype(), {rows, columns}), repeated(all.dtype(), {part.rows, part.columns});
    all.read_columns(first_row, rows, first_column, columns, some.data());
    const size_t element = size_of(all.dtype());
    std::byte* to = repeated.data();
    for (int64_t r = 0; r < part.rows; ++r) {
      const int64_t row = (part.first + r) / row_block - first_row;
      for (int64_t c = 0; c < part.columns; ++c, to += element) {
        const int64_t at = row * columns + (part.column + c) / column_block - first_column;
        std::memcpy(to, some.data() + static_cast<size_t>(at) * element, element);
      }
    }
    return repeated;
  }

  Op op_;
  ConstantPtr x_, scale_, zero_;
};

template <typename Op>
ConstantPtr make(Op op, DType dtype, ConstantPtr x, ConstantPtr scale, ConstantPtr zero) {
  if (x->shape().size() != 2 || x->rows() == 0 || x->row_elements() == 0) return nullptr;
  const bool is_single = op.block == 0 && scale->rows() * scale->row_elements() == 1;
  if (is_single) {
    op.axis = 0;
    if (zero != nullptr && zero->rows() * zero->row_elements() != 1) return nullptr;
  } else {
    const size_t axis = primitives::normal_axis(Op::op_name, op.axis, 2);
    op.axis = static_cast<int64_t>(axis);
    Shape expected{x->shape()[axis]};
    if (op.block > 0) {
      expected = x->shape();
      expected[axis] = expected[axis] / op.block + (expected[axis] % op.block == 0 ? 0 : 1);
    }
    if (scale->shape() != expected || (zero != nullptr && zero->shape() != expected)) return nullptr;
  }
  return std::make_shared<QuantizedConstant<Op>>(op, dtype, std::move(x), std::move(scale), std::move(zero));
}

}  // namespace

ConstantPtr quantized_lazily(const primitives::QuantizeLinear& op, DType dtype, ConstantPtr x, ConstantPtr scale,
                             ConstantPtr zero) {
  return make(op, dtype, std::move(x), std::move(scale), std::move(zero));
}

ConstantPtr quantized_lazily(const primitives::DequantizeLinear& op, DType dtype, ConstantPtr x, ConstantPtr scale,
                             ConstantPtr zero) {
  return make(op, dtype, std::move(x), std::move(scale), std::move(zero));
}

}  // namespace incipit
