#include "primitives/softmax.h"

#include <cmath>
#include <limits>

#include "base/softmax.h"
#include "primitives/carrier.h"
#include "primitives/rule.h"
#include "primitives/strided.h"

namespace incipit::primitives {
namespace {

template <typename T>
void softmax_line(const T* x, T* y, int64_t count, int64_t stride, bool logarithm) {
  for (int64_t i = 0; i < count; ++i) y[i * stride] = x[i * stride];
  const SoftmaxTotal<T> total = to_softmax_terms(y, count, -std::numeric_limits<T>::infinity(), stride);
  const T factor = static_cast<T>(1 / total.sum), log_sum = static_cast<T>(std::log(total.sum));
  for (int64_t i = 0; i < count; ++i) {
    T& result = y[i * stride];
    result = logarithm ? x[i * stride] - total.largest - log_sum : result * factor;
  }
}

}  // namespace

Outputs Softmax::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  with_float_type(op_name, x.dtype(), [](auto) {});
  const Shape& shape = x.shape();
  const size_t along = normal_axis(op_name, axis, shape.size());
  const int64_t outer = count_of(shape, 0, along), inner = count_of(shape, along + 1, shape.size());
  const int64_t count = shape[along];
  Tensor storage;
  const Tensor& wide = widened(x, storage);
  Tensor y(wide.dtype(), shape);
  const auto run = [&]<typename T>(T) {
    for (int64_t line = 0; count > 0 && line < outer * inner; ++line) {
      const int64_t first = line / inner * count * inner + line % inner;
      softmax_line(wide.as<T>().data() + first, y.as<T>().data() + first, count, inner, logarithm);
    }
  };
  wide.dtype() == DType::f64 ? run(double{}) : run(float{});
  return one_output(narrowed(std::move(y), x.dtype()));
}

OutputTypes Softmax::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  rule.same_float({});
  rule.axis(axis, rule.type(0).shape.size());
  return {{rule.type(0).dtype, rule.type(0).shape}};
}

}  // namespace incipit::primitives
