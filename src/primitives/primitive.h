// Primitives: the operators of ONNX's kind, on dense tensors of any rank. A primitive is a struct in a file of its own
// with its attributes, its shape rule infer() and compute(); the graph wraps it as an op (graph/ops/primitive.h), and
// engines that are no decoders run it as a step.
//
// Primitives are the operators of today's opset without their history: the ONNX importer brings older versions into
// this form (axes as inputs, broadcasting as today's). Source of meanings: https://onnx.ai/onnx/operators.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/attributes.h"
#include "base/tensor.h"
#include "primitives/value_type.h"

namespace incipit::primitives {

/// What compute() takes: in the operator's order, null where an optional input is absent; absent ones at the end may be
/// missing altogether.
using Inputs = std::span<const Tensor* const>;
/// One tensor for each output of the operator that this primitive makes.
using Outputs = std::vector<Tensor>;
Outputs one_output(Tensor tensor);

/// What infer() takes and gives, the shape rule beside compute(): types in the same order, ValueType::absent() where an
/// optional input is not given. `contents` of small integer results are given where those of the inputs are known,
/// because shapes are computed with them. Throws Error naming the operator where the inputs do not fit.
using InputTypes = std::span<const ValueType>;
using OutputTypes = std::vector<ValueType>;

/// Input i, or null where it is absent.
inline const Tensor* optional_input(Inputs inputs, size_t i) { return i < inputs.size() ? inputs[i] : nullptr; }
/// Input i, which must be there: throws Error naming the operator.
const Tensor& required_input(std::string_view op, Inputs inputs, size_t i);

/// A copy that owns its memory.
Tensor copy_of(const Tensor& tensor);
/// The same elements in another shape of as many.
Tensor reshaped(const Tensor& tensor, Shape shape);

/// Brings an axis of −rank … rank − 1 into 0 … rank − 1; throws Error naming the operator.
size_t normal_axis(std::string_view op, int64_t axis, size_t rank);
/// The elements of an integer tensor (any integer dtype, or bool), as the operators' axes, sizes and indices are given.
std::vector<int64_t> integers(const Tensor& tensor);

/// Any primitive, with its attributes, by name; for engines.
class AnyPrimitive {
 public:
  virtual ~AnyPrimitive() = default;
  virtual std::string_view name() const = 0;
  virtual void attributes(AttributeVisitor&) = 0;
  virtual Outputs compute(Inputs inputs) const = 0;
};
/// Null for a name that is none. The list is list.h.
std::unique_ptr<AnyPrimitive> make_primitive(std::string_view name);

}  // namespace incipit::primitives
