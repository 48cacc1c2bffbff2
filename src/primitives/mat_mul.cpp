#include "primitives/mat_mul.h"

#include <string>

#include "primitives/broadcast.h"
#include "primitives/broadcast_strides.h"
#include "primitives/carrier.h"
#include "primitives/product.h"
#include "primitives/rule.h"

namespace incipit::primitives {
namespace {

/// The type that products of wide elements are made in: integers as unsigned ones, which wrap.
template <typename T>
using Factor = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;

}  // namespace

Outputs MatMul::compute(Inputs inputs) const {
  const Tensor& a = required_input(op_name, inputs, 0);
  const Tensor& b = required_input(op_name, inputs, 1);
  if (a.dtype() != b.dtype()) throw Error(op_name, "multiplies elements of one type");
  if (a.dtype() == DType::boolean) refuse_dtype(op_name, a.dtype());
  Shape left = a.shape(), right = b.shape();
  if (left.empty() || right.empty()) throw Error(op_name, "takes no scalars");
  const bool is_row = left.size() == 1, is_column = right.size() == 1;
  if (is_row) left.insert(left.begin(), 1);
  if (is_column) right.push_back(1);
  const int64_t k = left.back(), n = right.back();
  int64_t m = left[left.size() - 2];
  if (right[right.size() - 2] != k) {
    throw Error(op_name, "multiplies rows of " + std::to_string(k) + " with columns of " +
                             std::to_string(right[right.size() - 2]));
  }
  left.resize(left.size() - 2);
  right.resize(right.size() - 2);
  const Shape batch = broadcast_shape(op_name, left, right);
  Shape shape = batch;
  if (!is_row) shape.push_back(m);
  if (!is_column) shape.push_back(n);
  Tensor a_storage, b_storage;
  const Tensor& wide_a = widened(a, a_storage);
  const Tensor& wide_b = widened(b, b_storage);
  Tensor c(wide_a.dtype(), shape);
  if (c.elements() == 0) return one_output(narrowed(std::move(c), a.dtype()));
  int64_t products = element_count(batch);
  if (element_count(right) == 1) {  // one matrix for all: their rows are one matrix's
    m *= products;
    products = 1;
  }
  const std::vector<int64_t> a_strides = broadcast_strides(left, batch.size());
  const std::vector<int64_t> b_strides = broadcast_strides(right, batch.size());
  with_carrier(c.dtype(), [&]<typename T>(ElementTag<T>) {
    using F = Factor<T>;
    const auto* const a_data = reinterpret_cast<const F*>(wide_a.data());
    const auto* const b_data = reinterpret_cast<const F*>(wide_b.data());
    auto* const c_data = reinterpret_cast<F*>(c.data());
    for (int64_t i = 0; i < products; ++i) {
      int64_t a_at = 0, b_at = 0;
      for (size_t axis = batch.size(), rest = static_cast<size_t>(i); axis-- > 0 && products > 1;) {
        const auto extent = static_cast<size_t>(batch[axis]);
        a_at += static_cast<int64_t>(rest % extent) * a_strides[axis];
        b_at += static_cast<int64_t>(rest % extent) * b_strides[axis];
        rest /= extent;
      }
      add_product(a_data + a_at * m * k, b_data + b_at * k * n, c_data + i * m * n, m, k, n);
    }
  });
  return one_output(narrowed(std::move(c), a.dtype()));
}

OutputTypes MatMul::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  rule.same_dtype(0, 1);
  rule.require(rule.type(0).dtype != DType::boolean, "multiplies no elements of type bool");
  return {{rule.type(0).dtype, product_shape(rule)}};
}

}  // namespace incipit::primitives
