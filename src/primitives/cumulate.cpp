#include "primitives/cumulate.h"

#include <algorithm>
#include <array>

#include "primitives/carrier.h"
#include "primitives/rule.h"

namespace incipit::primitives {
namespace {

/// x → y, both [outer, extent, inner].
template <typename T, typename F>
void accumulate(const T* x, T* y, const Cumulate& op, std::array<size_t, 3> extents, T start, F combine) {
  const auto [outer, extent, inner] = extents;
  std::vector<T> total(inner);
  for (size_t block = 0; block < outer; ++block) {
    std::fill(total.begin(), total.end(), start);
    for (size_t step = 0; step < extent; ++step) {
      const size_t row = (block * extent + (op.reverse ? extent - 1 - step : step)) * inner;
      for (size_t i = 0; i < inner; ++i) {
        const T next = combine(total[i], x[row + i]);
        y[row + i] = op.exclusive ? total[i] : next;
        total[i] = next;
      }
    }
  }
}

}  // namespace

Outputs Cumulate::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  const std::vector<int64_t> axes = integers(required_input(op_name, inputs, 1));
  if (x.dtype() == DType::boolean) refuse_dtype(op_name, x.dtype());
  if (axes.size() != 1) throw Error(op_name, "takes one axis");
  const size_t axis = normal_axis(op_name, axes[0], x.shape().size());
  std::array<size_t, 3> extents{1, static_cast<size_t>(x.shape()[axis]), 1};
  for (size_t i = 0; i < x.shape().size(); ++i) {
    if (i != axis) extents[i < axis ? 0 : 2] *= static_cast<size_t>(x.shape()[i]);
  }
  Outputs outputs;
  Tensor& y = outputs.emplace_back(x.dtype(), x.shape());
  const auto count = static_cast<size_t>(x.elements());
  if (count == 0) return outputs;
  const bool is_sum = kind == sum;
  with_carrier(x.dtype(), [&]<typename T>(ElementTag<T>) {
    // Integers wrap around.
    using Wrapping = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;
    std::vector<T> loaded(count), made(count);
    load_elements(x.dtype(), x.data(), loaded.data(), count);
    const auto wrap = [](T value) { return static_cast<Wrapping>(value); };
    if (is_sum) {
      accumulate(loaded.data(), made.data(), *this, extents, T{0},
                 [&](T a, T b) { return static_cast<T>(wrap(a) + wrap(b)); });
    } else {
      accumulate(loaded.data(), made.data(), *this, extents, T{1},
                 [&](T a, T b) { return static_cast<T>(wrap(a) * wrap(b)); });
    }
    store_elements(made.data(), x.dtype(), y.data(), count);
  });
  return outputs;
}

OutputTypes Cumulate::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  const ValueType& x = rule.type(0);
  rule.require(x.dtype != DType::boolean, "takes no bool");
  rule.require(!x.shape.empty(), "takes no scalar");
  if (const std::optional<std::vector<int64_t>> axes = rule.numbers(1)) {
    rule.require(axes->size() == 1, "takes one axis");
    rule.axis(axes->front(), x.shape.size());
  }
  return {{x.dtype, x.shape}};
}

}  // namespace incipit::primitives
