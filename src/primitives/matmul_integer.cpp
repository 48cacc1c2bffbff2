#include "primitives/matmul_integer.h"

#include <algorithm>

#include "primitives/broadcast.h"
#include "primitives/carrier.h"
#include "primitives/rule.h"

namespace incipit::primitives {
namespace {

std::vector<int32_t> codes_of(const Tensor& codes) {
  if (codes.dtype() != DType::i8 && codes.dtype() != DType::u8) refuse_dtype(MatMulInteger::op_name, codes.dtype());
  const std::vector<int64_t> values = integers(codes);
  return {values.begin(), values.end()};
}

/// Codes less their zero points; `shape` is the codes' with two axes at least, `own` the one of these two that zero
/// points may differ along.
std::vector<int32_t> centred(const Tensor& codes, const Tensor* zero, const Shape& shape, size_t own) {
  std::vector<int32_t> values = codes_of(codes);
  if (zero == nullptr) return values;
  if (zero->dtype() != codes.dtype())
    throw Error(MatMulInteger::op_name, "has a zero point of another type than its codes");
  const std::vector<int32_t> zeros = codes_of(*zero);
  Shape zero_shape = zero->shape();
  if (zeros.size() == 1) zero_shape = {};
  if (zero_shape.size() == 1 && own + 1 < shape.size()) zero_shape.push_back(1);
  if (broadcast_shape(MatMulInteger::op_name, shape, zero_shape) != shape)
    throw Error(MatMulInteger::op_name, "has zero points that do not fit its codes");
  const std::array<const Shape*, 1> operands{&zero_shape};
  const BroadcastWalk walk(shape, operands);
  walk.for_each([&](int64_t to, const BroadcastWalk::Offsets& from) {
    for (int64_t i = 0; i < walk.run(); ++i) {
      values[static_cast<size_t>(to + i)] -= zeros[static_cast<size_t>(from[0] + i * walk.steps()[0])];
    }
  });
  return values;
}

}  // namespace

Outputs MatMulInteger::compute(Inputs inputs) const {
  const Tensor& a = required_input(op_name, inputs, 0);
  const Tensor& b = required_input(op_name, inputs, 1);
  if (a.shape().empty() || b.shape().empty()) throw Error(op_name, "takes no scalars");
  Shape a_shape = a.shape(), b_shape = b.shape();
  if (a_shape.size() == 1) a_shape.insert(a_shape.begin(), 1);
  if (b_shape.size() == 1) b_shape.push_back(1);
  const int64_t rows = a_shape[a_shape.size() - 2], depth = a_shape.back(), columns = b_shape.back();
  if (b_shape[b_shape.size() - 2] != depth) {
    throw Error(op_name, "has " + std::to_string(depth) + " columns on the left and " +
                             std::to_string(b_shape[b_shape.size() - 2]) + " rows on the right");
  }
  const std::vector<int32_t> left = centred(a, optional_input(inputs, 2), a_shape, a_shape.size() - 2);
  const std::vector<int32_t> right = centred(b, optional_input(inputs, 3), b_shape, b_shape.size() - 1);
  const Shape a_batch(a_shape.begin(), a_shape.end() - 2), b_batch(b_shape.begin(), b_shape.end() - 2);
  const Shape batch = broadcast_shape(op_name, a_batch, b_batch);
  Shape shape = batch;
  if (a.shape().size() > 1) shape.push_back(rows);
  if (b.shape().size() > 1) shape.push_back(columns);
  Outputs outputs;
  int32_t* const out = outputs.emplace_back(DType::i32, shape).as<int32_t>().data();
  const std::array<const Shape*, 2> operands{&a_batch, &b_batch};
  const BroadcastWalk walk(batch, operands);
  std::vector<uint32_t> sums(static_cast<size_t>(columns));
  walk.for_each([&](int64_t to, const BroadcastWalk::Offsets& from) {
    for (int64_t i = 0; i < walk.run(); ++i) {
      const int32_t* const x = left.data() + (from[0] + i * walk.steps()[0]) * rows * depth;
      const int32_t* const y = right.data() + (from[1] + i * walk.steps()[1]) * depth * columns;
      for (int64_t row = 0; row < rows; ++row) {
        std::fill(sums.begin(), sums.end(), 0U);
        for (int64_t k = 0; k < depth; ++k) {
          const auto factor = static_cast<uint32_t>(x[row * depth + k]);
          for (size_t column = 0; column < sums.size(); ++column) {
            sums[column] += factor * static_cast<uint32_t>(y[k * columns + static_cast<int64_t>(column)]);
          }
        }
        std::transform(sums.begin(), sums.end(), out + ((to + i) * rows + row) * columns,
                       [](uint32_t sum) { return static_cast<int32_t>(sum); });
      }
    }
  });
  return outputs;
}

OutputTypes MatMulInteger::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  for (const size_t i : {size_t{0}, size_t{1}}) {
    const DType dtype = rule.type(i).dtype;
    rule.require(dtype == DType::i8 || dtype == DType::u8, "takes codes of 8 bits");
    if (rule.has(i + 2)) rule.same_dtype(i + 2, i);
  }
  return {{DType::i32, product_shape(rule)}};
}

}  // namespace incipit::primitives
