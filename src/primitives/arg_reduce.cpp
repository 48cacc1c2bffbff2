#include "primitives/arg_reduce.h"

#include "primitives/carrier.h"
#include "primitives/extremes.h"
#include "primitives/rule.h"
#include "primitives/strided.h"

namespace incipit::primitives {
namespace {

template <typename T>
int64_t place_of(const T* line, int64_t extent, int64_t stride, bool largest, bool last) {
  int64_t best = 0;
  for (int64_t i = 1; i < extent; ++i) {
    const T x = line[i * stride], y = line[best * stride];
    const bool is_better = !is_nan(y) && (is_nan(x) || (largest ? x > y : x < y));
    const bool is_equal = x == y || (is_nan(x) && is_nan(y));
    if (is_better || (last && is_equal)) best = i;
  }
  return best;
}

}  // namespace

Outputs ArgReduce::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  Shape shape = data.shape();
  const size_t along = normal_axis(op_name, axis, shape.size());
  const int64_t extent = shape[along];
  shape[along] = 1;
  Tensor places(DType::i64, shape);
  if (places.elements() > 0) {
    if (extent == 0) throw Error(op_name, "its axis has no elements");
    const int64_t blocks = count_of(shape, 0, along), inner = count_of(shape, along, shape.size());
    Tensor storage;
    const Tensor& wide = widened(data, storage);
    const bool is_largest = kind == max;
    int64_t* to = places.as<int64_t>().data();
    with_carrier(wide.dtype(), [&]<typename T>(ElementTag<T>) {
      const T* from = wide.as<T>().data();
      for (int64_t block = 0; block < blocks; ++block, from += extent * inner) {
        for (int64_t i = 0; i < inner; ++i) {
          *to++ = place_of(from + i, extent, inner, is_largest, select_last_index);
        }
      }
    });
  }
  if (!keepdims) {
    shape.erase(shape.begin() + static_cast<ptrdiff_t>(along));
    places = reshaped(places, std::move(shape));
  }
  return one_output(std::move(places));
}

OutputTypes ArgReduce::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  ValueType result{DType::i64, rule.type(0).shape};
  const size_t along = rule.axis(axis, result.shape.size());
  result.shape[along] = 1;
  if (!keepdims) result.shape.erase(result.shape.begin() + static_cast<ptrdiff_t>(along));
  return {result};
}

}  // namespace incipit::primitives
