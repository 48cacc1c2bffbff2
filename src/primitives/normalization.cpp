#include "primitives/normalization.h"

#include <algorithm>

#include "base/norm.h"
#include "primitives/broadcast.h"
#include "primitives/broadcast_strides.h"
#include "primitives/carrier.h"
#include "primitives/rule.h"
#include "primitives/strided.h"

namespace incipit::primitives {
namespace {

/// A tensor that broadcasts to `shape`, wide, in a form whose element i mod elements() belongs to the result's element
/// i.
const Tensor& repeatable(std::string_view op, const Tensor& tensor, const Shape& shape, Tensor& storage,
                         Tensor& expanded) {
  const Tensor& wide = widened(tensor, storage);
  if (broadcast_shape(op, tensor.shape(), shape) != shape) throw Error(op, "its scale or bias is larger than x");
  Shape own = tensor.shape();
  while (!own.empty() && own.front() == 1) own.erase(own.begin());
  if (std::equal(own.rbegin(), own.rend(), shape.rbegin())) return wide;
  expanded = Tensor(wide.dtype(), shape);
  if (expanded.elements() > 0) {
    copy_strided(wide.data(), shape, broadcast_strides(own, shape.size()), size_of(wide.dtype()), expanded.data());
  }
  return expanded;
}

/// y = y·scale + bias.
template <typename T>
void apply(const Tensor& scale, const Tensor* bias, Tensor& y) {
  const std::span<const T> factors = scale.as<T>();
  const std::span<const T> addends = bias == nullptr ? std::span<const T>() : bias->as<T>();
  const std::span<T> values = y.as<T>();
  size_t factor = 0, addend = 0;
  for (T& value : values) {
    value *= factors[factor];
    if (++factor == factors.size()) factor = 0;
    if (addends.empty()) continue;
    value += addends[addend];
    if (++addend == addends.size()) addend = 0;
  }
}

/// Rows of x, less their mean where that is asked for, over the root of their mean square and epsilon.
template <typename T>
void normalise(const Tensor& x, int64_t width, double epsilon, bool less_mean, Tensor& y, Tensor* means,
               Tensor* inverse_deviations) {
  const int64_t rows = x.elements() / width;
  for (int64_t row = 0; row < rows; ++row) {
    const T* const from = x.as<T>().data() + row * width;
    T* const to = y.as<T>().data() + row * width;
    const std::span<const T> elements(from, static_cast<size_t>(width));
    const RowNorm norm = less_mean ? layer_norm_of(elements, epsilon) : rms_norm_of(elements, epsilon);
    for (int64_t i = 0; i < width; ++i) to[i] = static_cast<T>(norm(static_cast<double>(from[i])));
    if (means != nullptr) means->as<T>()[static_cast<size_t>(row)] = static_cast<T>(norm.mean);
    if (inverse_deviations != nullptr) {
      inverse_deviations->as<T>()[static_cast<size_t>(row)] = static_cast<T>(norm.factor);
    }
  }
}

template <typename F>
void with_wide_float(DType dtype, F&& call) {
  dtype == DType::f64 ? call(double{}) : call(float{});
}

/// Wide values of f64 or f32 as any floating dtype.
Tensor rounded(Tensor wide, DType dtype) {
  if (wide.dtype() == DType::f64 && dtype != DType::f64) {
    Tensor single(DType::f32, wide.shape());
    std::transform(wide.as<double>().begin(), wide.as<double>().end(), single.as<float>().begin(),
                   [](double value) { return static_cast<float>(value); });
    wide = std::move(single);
  }
  return narrowed(std::move(wide), dtype);
}

}  // namespace

Outputs LayerNormalization::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  const Tensor& scale = required_input(op_name, inputs, 1);
  const Tensor* const bias = optional_input(inputs, 2);
  with_float_type(op_name, x.dtype(), [](auto) {});
  with_float_type(op_name, stash, [](auto) {});
  if (scale.dtype() != x.dtype() || (bias != nullptr && bias->dtype() != x.dtype())) {
    throw Error(op_name, "takes x, scale and bias of one type");
  }
  const Shape& shape = x.shape();
  const size_t first = normal_axis(op_name, axis, shape.size());
  Shape reduced = shape;
  std::fill(reduced.begin() + static_cast<ptrdiff_t>(first), reduced.end(), 1);
  Tensor x_storage, scale_storage, scale_expanded, bias_storage, bias_expanded;
  const Tensor& wide = widened(x, x_storage);
  const Tensor& factors = repeatable(op_name, scale, shape, scale_storage, scale_expanded);
  const Tensor* const addends =
      bias == nullptr ? nullptr : &repeatable(op_name, *bias, shape, bias_storage, bias_expanded);
  Tensor y(wide.dtype(), shape), means(wide.dtype(), reduced), inverse_deviations(wide.dtype(), reduced);
  const int64_t width = count_of(shape, first, shape.size());
  if (x.elements() > 0) {
    with_wide_float(wide.dtype(), [&]<typename T>(T) {
      normalise<T>(wide, width, static_cast<double>(epsilon), true, y, &means, &inverse_deviations);
      apply<T>(factors, addends, y);
    });
  }
  Outputs outputs;
  outputs.push_back(narrowed(std::move(y), x.dtype()));
  outputs.push_back(rounded(std::move(means), stash));
  outputs.push_back(rounded(std::move(inverse_deviations), stash));
  return outputs;
}

Outputs RmsNormalization::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  const Tensor& scale = required_input(op_name, inputs, 1);
  with_float_type(op_name, x.dtype(), [](auto) {});
  with_float_type(op_name, scale.dtype(), [](auto) {});
  const Shape& shape = x.shape();
  const size_t first = normal_axis(op_name, axis, shape.size());
  Tensor x_storage, scale_storage, scale_expanded;
  const Tensor& wide = widened(x, x_storage);
  const Tensor& factors = repeatable(op_name, scale, shape, scale_storage, scale_expanded);
  Tensor y(wide.dtype(), shape);
  const int64_t width = count_of(shape, first, shape.size());
  if (x.elements() > 0) {
    with_wide_float(wide.dtype(), [&]<typename T>(T) {
      normalise<T>(wide, width, static_cast<double>(epsilon), false, y, nullptr, nullptr);
    });
    if (wide.dtype() != factors.dtype()) {
      throw Error(op_name, "takes a scale of f64 with x of f64, and no other");
    }
    with_wide_float(wide.dtype(), [&]<typename T>(T) { apply<T>(factors, nullptr, y); });
  }
  return one_output(rounded(std::move(y), scale.dtype()));
}

OutputTypes LayerNormalization::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  rule.same_float({1, 2});
  const DType stash = this->stash;
  rule.require(is_floating(stash), "makes no statistics of type " + std::string(name_of(stash)));
  const std::vector<Dim>& shape = rule.type(0).shape;
  std::vector<Dim> reduced = shape;
  for (size_t axis = rule.axis(this->axis, shape.size()); axis < shape.size(); ++axis) reduced[axis] = 1;
  broadcasts_to(rule, 1, shape);
  if (rule.has(2)) broadcasts_to(rule, 2, shape);
  return {{rule.type(0).dtype, shape}, {stash, reduced}, {stash, reduced}};
}

OutputTypes RmsNormalization::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  rule.same_float({});
  const DType scale = rule.type(1).dtype;
  rule.require(is_floating(scale), "takes a floating scale");
  rule.require((scale == DType::f64) == (rule.type(0).dtype == DType::f64),
               "takes a scale of f64 with x of f64, and no other");
  const std::vector<Dim>& shape = rule.type(0).shape;
  rule.axis(axis, shape.size());
  broadcasts_to(rule, 1, shape);
  return {{scale, shape}};
}

}  // namespace incipit::primitives
