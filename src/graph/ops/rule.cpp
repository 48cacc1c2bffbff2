#include "graph/ops/rule.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/coded_rows.h"
#include "base/norm.h"

namespace incipit::ops {

Rule::Rule(std::string_view op, std::span<const ValueType> inputs, std::vector<std::string_view> names, size_t required)
    : op_(op), inputs_(inputs), names_(std::move(names)) {
  require(inputs.size() <= names_.size(),
          "has " + std::to_string(inputs.size()) + " inputs; it takes at most " + std::to_string(names_.size()));
  for (size_t i = 0; i < required; ++i) require(has(i), "lacks its input " + std::string(names_[i]));
}

bool Rule::has(size_t i) const { return i < inputs_.size() && !inputs_[i].is_absent; }

const ValueType& Rule::type(size_t i) const {
  INCIPIT_ASSERT(has(i));
  return inputs_[i];
}

const Dim& Rule::extent(size_t i, size_t axis) const { return type(i).shape.at(axis); }

const ValueType& Rule::tensor(size_t i, size_t rank, std::initializer_list<DType> dtypes) const {
  const ValueType& found = type(i);
  require(!found.is_cache, "input " + std::string(names_[i]) + " is a cache");
  require(found.shape.size() == rank, "input " + std::string(names_[i]) + " is " + found.text() + ", not of " +
                                          std::to_string(rank) + " dimensions");
  require(std::find(dtypes.begin(), dtypes.end(), found.dtype) != dtypes.end(),
          "input " + std::string(names_[i]) + " cannot be " + std::string(name_of(found.dtype)));
  return found;
}

const ValueType& Rule::rows(size_t i, std::initializer_list<DType> dtypes) const {
  return tensor(i, std::max<size_t>(type(i).shape.size(), 2), dtypes);
}

void Rule::vector_of(size_t i, const Dim& width) const {
  tensor(i, 1, any_float);
  extent_is(i, 0, width);
}

void Rule::rows_as(size_t i, size_t as, const Dim& width, std::initializer_list<DType> dtypes) const {
  const std::vector<Dim> wanted = with_columns(type(as).shape, width);
  tensor(i, wanted.size(), dtypes);
  for (size_t axis = 0; axis < wanted.size(); ++axis) extent_is(i, axis, wanted[axis]);
}

int64_t Rule::constant_extent(size_t i, size_t axis) const {
  const std::optional<int64_t> number = extent(i, axis).try_constant();
  require(number.has_value(), "input " + std::string(names_[i]) + " is " + type(i).text() + ": dimension " +
                                  std::to_string(axis) + " must be a number");
  return *number;
}

void Rule::extent_is(size_t i, size_t axis, const Dim& wanted) const {
  if (extent(i, axis) == wanted) return;
  require(false, "input " + std::string(names_[i]) + " is " + type(i).text() + ": dimension " + std::to_string(axis) +
                     " must be " + wanted.text());
}

void Rule::require(bool ok, const std::string& fault) const {
  if (!ok) throw Error(op_, fault, "mend the graph");
}

DType Rule::dtype(std::string_view attribute, DType value, std::initializer_list<DType> allowed) const {
  require(std::find(allowed.begin(), allowed.end(), value) != allowed.end(),
          std::string(attribute) + " cannot be " + std::string(name_of(value)));
  return value;
}

std::vector<float> floats(const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.elements()));
  // No rows: nothing to point at.
  if (!values.empty()) convert_to_float(tensor.dtype(), tensor.data(), values.data(), values.size());
  return values;
}

void store(std::span<const float> values, Tensor& tensor) {
  INCIPIT_ASSERT(static_cast<int64_t>(values.size()) == tensor.elements());
  if (!values.empty()) convert_from_float(values.data(), tensor.dtype(), tensor.data(), values.size());
}

const Tensor* optional(std::span<const Tensor* const> inputs, size_t i) {
  return i < inputs.size() ? inputs[i] : nullptr;
}

std::vector<float> optional_floats(std::span<const Tensor* const> inputs, size_t i) {
  const Tensor* tensor = optional(inputs, i);
  return tensor ? floats(*tensor) : std::vector<float>();
}

std::vector<Dim> with_columns(std::vector<Dim> rows, const Dim& columns) {
  rows.back() = columns;
  return rows;
}

std::vector<Dim> scales_shape(const std::vector<Dim>& rows) {
  return rows.size() == 2 ? std::vector<Dim>{rows[0]} : with_columns(rows, 1);
}

size_t width_of(const Tensor& rows) { return static_cast<size_t>(rows.shape().back()); }

size_t count_of(const Tensor& rows) {
  return static_cast<size_t>(element_count(std::span(rows.shape()).first(rows.shape().size() - 1)));
}

ValueType elementwise_pair(const Rule& rule) {
  const ValueType& x = rule.rows(0, kernel_floats);
  if (rule.type(1).shape.size() == 1) {
    rule.vector_of(1, rule.columns(0));
  } else {
    rule.rows_as(1, 0, rule.columns(0), kernel_floats);
  }
  return {DType::f32, x.shape};
}

namespace {

/// Columns that are left of a product's after its activation.
int64_t activated_width(const Rule& rule, Activation activation, int64_t products) {
  const bool gated = is_gated(activation);
  rule.require(!gated || products % 2 == 0, "needs an even number of gate and up rows");
  return gated ? products / 2 : products;
}

}  // namespace

Dim product_width(const Rule& rule, Activation activation, size_t weight, size_t bias, size_t residual) {
  const int64_t products = rule.constant_extent(weight, 0);
  const Dim width = activated_width(rule, activation, products);
  if (rule.has(bias)) rule.vector_of(bias, products);
  if (rule.has(residual)) rule.rows_as(residual, 0, width, {DType::f32});
  return width;
}

void finish_product_row(Activation activation, std::span<const double> sums, const float* bias, const float* residual,
                        float* out) {
  const auto product = [&](size_t i) { return sums[i] + (bias ? bias[i] : 0.0F); };
  const bool has_gate = is_gated(activation);
  const size_t width = has_gate ? sums.size() / 2 : sums.size();
  for (size_t i = 0; i < width; ++i) {
    double value = has_gate ? gated(activation, product(i), product(width + i)) : activate(activation, product(i));
    if (residual) value += residual[i];
    out[i] = static_cast<float>(value);
  }
}

Dim expert_product_width(const Rule& rule, Activation activation, int64_t top_k, size_t expert, size_t weight,
                         size_t bias) {
  const Dim& rows = rule.extent(0, 0);
  const int64_t experts = rule.constant_extent(weight, 0), products = rule.constant_extent(weight, 1);
  const int64_t depth = rule.constant_extent(weight, 2), columns = rule.constant_extent(0, 1);
  constexpr int64_t limit = 1 << 16;
  rule.require(top_k > 0 && top_k <= std::min(experts, limit),
               "cannot have " + std::to_string(top_k) + " of " + std::to_string(experts) + " experts a row");
  rule.tensor(expert, 2, {DType::i32});
  rule.extent_is(expert, 0, rows);
  rule.extent_is(expert, 1, top_k);
  if (rule.has(bias)) {
    rule.tensor(bias, 2, any_float);
    rule.extent_is(bias, 0, experts);
    rule.extent_is(bias, 1, products);
  }
  rule.require(columns == depth || (columns % top_k == 0 && columns / top_k == depth),
               "input x has " + std::to_string(columns) + " columns, neither " + std::to_string(depth) +
                   " nor as many for each of " + std::to_string(top_k) + " slots");
  return Dim(top_k) * activated_width(rule, activation, products);
}

ExpertShape::ExpertShape(const Tensor& x, const Tensor& weight, const Tensor& out, int64_t top_k)
    : rows(static_cast<size_t>(x.shape()[0])),
      slots(static_cast<size_t>(top_k)),
      experts(static_cast<size_t>(weight.shape()[0])),
      products(static_cast<size_t>(weight.shape()[1])),
      depth(static_cast<size_t>(weight.shape()[2])),
      width(static_cast<size_t>(out.shape()[1] / top_k)),
      x_width(static_cast<size_t>(x.shape()[1])) {}

size_t ExpertShape::expert(const Tensor& chosen, size_t row, size_t slot) const {
  const int32_t expert = chosen.as<int32_t>()[row * slots + slot];
  if (expert < 0 || static_cast<size_t>(expert) >= experts) {
    throw Error("expert " + std::to_string(expert), "is outside the " + std::to_string(experts) + " there are");
  }
  return static_cast<size_t>(expert);
}

size_t ExpertShape::first_input(size_t row, size_t slot) const {
  return row * x_width + (x_width == depth ? 0 : slot * depth);
}

Dim group_width(const Rule& rule, int64_t groups) {
  if (groups == 1) return rule.columns(0);
  const int64_t columns = rule.constant_extent(0, rule.type(0).shape.size() - 1);
  rule.require(groups > 0 && columns % groups == 0,
               "cannot part " + std::to_string(columns) + " columns into " + std::to_string(groups) + " groups");
  return columns / groups;
}

void append_norm_types(const Rule& rule, DType output, const std::vector<Dim>& shape, std::vector<ValueType>& types) {
  const DType dtype = rule.dtype("output", output, {DType::f32, DType::bf16, DType::i8});
  types.push_back({dtype, shape});
  if (dtype == DType::i8) types.push_back({DType::f32, scales_shape(shape)});
}

void norm_rows(std::span<const float> x, const Tensor* gain, float epsilon, int64_t groups, std::span<Tensor> outputs) {
  const size_t width = width_of(outputs[0]) / static_cast<size_t>(groups);
  const std::vector<float> gains = gain ? floats(*gain) : std::vector<float>(width, 1.0F);
  std::vector<float> normed(x.size());
  for (size_t first = 0; first < x.size(); first += width) {
    const RowNorm norm = rms_norm_of(x.subspan(first, width), epsilon);
    for (size_t i = 0; i < width; ++i) normed[first + i] = static_cast<float>(norm(x[first + i]) * gains[i]);
  }
  store_normed(normed, outputs);
}

void store_normed(std::span<const float> normed, std::span<Tensor> outputs) {
  if (outputs[0].dtype() != DType::i8) {
    store(normed, outputs[0]);
    return;
  }
  const size_t width = width_of(outputs[0]);
  const auto scales = outputs[1].as<float>();
  for (size_t r = 0; r < scales.size(); ++r) {
    scales[r] = quantize_row(normed.subspan(r * width, width), outputs[0].as<int8_t>().data() + r * width);
  }
}

}  // namespace incipit::ops
