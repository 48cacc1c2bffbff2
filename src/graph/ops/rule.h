// What the shape rules and references of ops/ have in common.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/activation.h"
#include "graph/op.h"

namespace incipit::ops {

/// Checks of an op's inputs; each throws Error naming the op and the input.
class Rule {
 public:
  /// `names` of the inputs, the optional ones last; `required` of them must be there.
  Rule(std::string_view op, std::span<const ValueType> inputs, std::vector<std::string_view> names, size_t required);

  bool has(size_t i) const;
  const ValueType& type(size_t i) const;
  const Dim& extent(size_t i, size_t axis) const;
  /// A dense tensor of that rank and one of those dtypes.
  const ValueType& tensor(size_t i, size_t rank, std::initializer_list<DType> dtypes) const;
  /// Rows: the same of two dimensions or more, the last of which are columns.
  const ValueType& rows(size_t i, std::initializer_list<DType> dtypes) const;
  const Dim& columns(size_t i) const { return type(i).shape.back(); }
  /// Input i is a vector of so many elements, of any floating dtype.
  void vector_of(size_t i, const Dim& width) const;
  /// Input i is rows like those of input `as`, of so many columns.
  void rows_as(size_t i, size_t as, const Dim& width, std::initializer_list<DType> dtypes) const;
  /// An extent that must be a known number.
  int64_t constant_extent(size_t i, size_t axis) const;
  void extent_is(size_t i, size_t axis, const Dim& wanted) const;
  void require(bool ok, const std::string& fault) const;
  /// A dtype that an attribute is, which must be one of these.
  DType dtype(std::string_view attribute, DType value, std::initializer_list<DType> allowed) const;

 private:
  std::string_view op_;
  std::span<const ValueType> inputs_;
  std::vector<std::string_view> names_;
};

constexpr std::initializer_list<DType> kernel_floats{DType::f32, DType::bf16};
/// What a checkpoint may hold; kernels read the first two.
constexpr std::initializer_list<DType> any_float{DType::f32, DType::bf16, DType::f16};
constexpr std::initializer_list<DType> any_cache{DType::f32, DType::bf16, DType::f16, DType::i8};

/// The elements as floats.
std::vector<float> floats(const Tensor& tensor);
/// Rounds values to the tensor's dtype.
void store(std::span<const float> values, Tensor& tensor);
/// Input i, or nullptr when it is absent.
const Tensor* optional(std::span<const Tensor* const> inputs, size_t i);
/// Its elements as floats; none when it is absent.
std::vector<float> optional_floats(std::span<const Tensor* const> inputs, size_t i);

/// Rows of another width.
std::vector<Dim> with_columns(std::vector<Dim> rows, const Dim& columns);
/// Shape of the scales of rows: a vector for a matrix, else rows of one column.
std::vector<Dim> scales_shape(const std::vector<Dim>& rows);
/// How many columns rows have, and how many rows there are.
size_t width_of(const Tensor& rows);
size_t count_of(const Tensor& rows);

/// Add's and Multiply's rule: rows x, and y of the same shape or one row for all of x's; returns the output's type.
ValueType elementwise_pair(const Rule& rule);

/// Linear's and QuantizedLinear's common part: the checks of bias, residual and activation; returns M'.
Dim product_width(const Rule& rule, Activation activation, size_t weight, size_t bias, size_t residual);
/// … and bias, activation and residual of row `r` of the product; `sums` has M elements, `out` M'.
void finish_product_row(Activation activation, std::span<const double> sums, const float* bias, const float* residual,
                        float* out);

/// ExpertLinear's and QuantizedExpertLinear's common part: checks of x (input 0), expert, weight and bias; returns
/// top_k·M'.
Dim expert_product_width(const Rule& rule, Activation activation, int64_t top_k, size_t expert, size_t weight,
                         size_t bias);
/// Where what is in their operands.
struct ExpertShape {
  size_t rows, slots, experts, products, depth, width, x_width;
  ExpertShape(const Tensor& x, const Tensor& weight, const Tensor& out, int64_t top_k);
  /// The expert of a row's slot; throws Error where there is none of that number.
  size_t expert(const Tensor& chosen, size_t row, size_t slot) const;
  /// Index of the first element of x that a row's slot reads.
  size_t first_input(size_t row, size_t slot) const;
  /// An expert's biases among those of all; null where there are none.
  const float* bias(const std::vector<float>& all, size_t expert) const {
    return all.empty() ? nullptr : all.data() + expert * products;
  }
};

/// Checks that input 0 has so many equal groups of columns; returns a group's width.
Dim group_width(const Rule& rule, int64_t groups);

/// The norms' common part: the outputs' types, the root-mean-square norm of rows, and storing normed rows.
void append_norm_types(const Rule& rule, DType output, const std::vector<Dim>& shape, std::vector<ValueType>& types);
void norm_rows(std::span<const float> x, const Tensor* gain, float epsilon, int64_t groups, std::span<Tensor> outputs);
void store_normed(std::span<const float> normed, std::span<Tensor> outputs);

}  // namespace incipit::ops
