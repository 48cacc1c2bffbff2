#include "primitives/top_k.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "primitives/carrier.h"
#include "primitives/extremes.h"
#include "primitives/rule.h"
#include "primitives/strided.h"

namespace incipit::primitives {
namespace {

// A strict order even where there are NaNs.
template <typename T>
bool is_less(T a, T b) {
  return a < b || (is_nan(b) && !is_nan(a));
}

/// Writes the places along the axis of the k first elements in order, block by block.
template <typename T>
void order(const T* data, bool largest, int64_t extent, int64_t inner, int64_t blocks, int64_t k, int64_t* to) {
  std::vector<int64_t> places(static_cast<size_t>(extent));
  for (int64_t block = 0; block < blocks; ++block) {
    for (int64_t column = 0; column < inner; ++column) {
      const T* line = data + block * extent * inner + column;
      std::iota(places.begin(), places.end(), 0);
      const auto comes_first = [&](int64_t a, int64_t b) {
        const T x = line[a * inner], y = line[b * inner];
        if (largest ? is_less(y, x) : is_less(x, y)) return true;
        if (largest ? is_less(x, y) : is_less(y, x)) return false;
        return a < b;
      };
      std::partial_sort(places.begin(), places.begin() + k, places.end(), comes_first);
      for (int64_t i = 0; i < k; ++i) to[(block * k + i) * inner + column] = places[static_cast<size_t>(i)];
    }
  }
}

}  // namespace

Outputs TopK::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  const Tensor& count = required_input(op_name, inputs, 1);
  if (count.elements() != 1) throw Error(op_name, "k is not one number");
  const int64_t k = integers(count)[0];
  Shape shape = data.shape();
  const size_t along = normal_axis(op_name, axis, shape.size());
  const int64_t extent = shape[along];
  if (k < 0 || k > extent) {
    throw Error(op_name, "k is " + std::to_string(k) + " on an axis of " + std::to_string(extent));
  }
  shape[along] = k;
  Tensor values(data.dtype(), shape), indices(DType::i64, shape);
  if (values.elements() > 0) {
    const int64_t inner = count_of(shape, along + 1, shape.size()), blocks = count_of(shape, 0, along);
    int64_t* places = indices.as<int64_t>().data();
    Tensor storage;
    const Tensor& wide = widened(data, storage);
    with_carrier(wide.dtype(), [&]<typename T>(ElementTag<T>) {
      order(wide.as<T>().data(), largest, extent, inner, blocks, k, places);
    });
    with_word_type(size_of(data.dtype()), [&]<typename T>(ElementTag<T>) {
      const T* from = reinterpret_cast<const T*>(data.data());
      T* to = reinterpret_cast<T*>(values.data());
      for (int64_t block = 0; block < blocks; ++block, from += extent * inner) {
        for (int64_t i = 0; i < k * inner; ++i) *to++ = from[*places++ * inner + i % inner];
      }
    });
  }
  Outputs outputs;
  outputs.push_back(std::move(values));
  outputs.push_back(std::move(indices));
  return outputs;
}

OutputTypes TopK::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  rule.integer_list(1, true);
  rule.require_one_element(1);
  ValueType values{rule.type(0).dtype, rule.type(0).shape};
  Dim& extent = values.shape[rule.axis(axis, values.shape.size())];
  Dim count = Dim::unknown();
  if (const std::vector<Dim>* known = rule.contents(1); known != nullptr && known->size() == 1) {
    const Dim& k = known->front();
    rule.require(
        !k.is_constant() || (k.constant() >= 0 && (!extent.is_constant() || k.constant() <= extent.constant())),
        "k is " + k.text() + " on an axis of " + extent.text());
    if (is_surely_at_least(k, 0)) count = k;
  }
  extent = count;
  return {values, {DType::i64, values.shape}};
}

}  // namespace incipit::primitives
