#include "primitives/primitive.h"

#include <cstring>
#include <string>

#include "primitives/element_types.h"
#include "primitives/list.h"

namespace incipit::primitives {
namespace {

template <typename P>
class Wrapped final : public AnyPrimitive {
 public:
  std::string_view name() const override { return P::op_name; }
  void attributes(AttributeVisitor& visitor) override {
    if constexpr (requires(P & p) { p.fields(visitor); }) primitive_.fields(visitor);
  }
  Outputs compute(Inputs inputs) const override { return primitive_.compute(inputs); }

 private:
  P primitive_;
};

template <typename... P>
std::unique_ptr<AnyPrimitive> make_one(List<P...>, std::string_view name) {
  std::unique_ptr<AnyPrimitive> made;
  ((name == P::op_name ? void(made = std::make_unique<Wrapped<P>>()) : void()), ...);
  return made;
}

}  // namespace

std::unique_ptr<AnyPrimitive> make_primitive(std::string_view name) { return make_one(All{}, name); }

const Tensor& required_input(std::string_view op, Inputs inputs, size_t i) {
  const Tensor* input = optional_input(inputs, i);
  if (input == nullptr) throw Error(op, "input " + std::to_string(i) + " is missing");
  return *input;
}

Outputs one_output(Tensor tensor) {
  Outputs outputs;
  outputs.push_back(std::move(tensor));
  return outputs;
}

Tensor copy_of(const Tensor& tensor) { return reshaped(tensor, tensor.shape()); }

Tensor reshaped(const Tensor& tensor, Shape shape) {
  Tensor copy(tensor.dtype(), std::move(shape));
  INCIPIT_ASSERT(copy.elements() == tensor.elements());
  if (tensor.bytes() > 0) std::memcpy(copy.data(), tensor.data(), tensor.bytes());
  return copy;
}

size_t normal_axis(std::string_view op, int64_t axis, size_t rank) {
  const auto signed_rank = static_cast<int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) {
    throw Error(op, "axis " + std::to_string(axis) + " is outside of a tensor of rank " + std::to_string(rank));
  }
  return static_cast<size_t>(axis < 0 ? axis + signed_rank : axis);
}

std::vector<int64_t> integers(const Tensor& tensor) {
  std::vector<int64_t> values;
  values.reserve(static_cast<size_t>(tensor.elements()));
  with_element_type(tensor.dtype(), [&]<typename T>(ElementTag<T>) {
    if constexpr (std::is_integral_v<T>) {
      for (const T value : tensor.as<T>()) values.push_back(static_cast<int64_t>(value));
    } else {
      refuse_dtype("a list of integers", tensor.dtype());
    }
  });
  return values;
}

}  // namespace incipit::primitives
