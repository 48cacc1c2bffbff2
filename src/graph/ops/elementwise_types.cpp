// Shape rules of the primitives that go element by element, and what they make of known values.
#include <algorithm>

#include "graph/ops/primitive.h"
#include "graph/ops/primitive_rule.h"
#include "primitives/carrier.h"

namespace incipit::ops {
namespace {

/// Values above this many characters are given up: polynomials of polynomials could grow without end.
constexpr size_t longest_value = 256;

/// A truth that is known, or not.
using Truth = std::optional<bool>;

Truth is_less(const Dim& a, const Dim& b) {
  if (is_surely_at_least(b - a, 1)) return true;
  if (is_surely_at_least(a - b, 0)) return false;
  return std::nullopt;
}

Truth is_equal(const Dim& a, const Dim& b) {
  // An unknown without a name is not even equal to itself.
  if (a == b && !a.is_unknown()) return true;
  if (is_less(a, b).value_or(false) || is_less(b, a).value_or(false)) return false;
  return std::nullopt;
}

Truth inverse(Truth truth) { return truth ? Truth(!*truth) : truth; }

Dim value_of(Truth truth) { return truth ? Dim(*truth ? 1 : 0) : Dim::unknown(); }

template <typename P>
int64_t computed(const P& primitive, DType dtype, std::initializer_list<int64_t> values) {
  std::vector<Tensor> tensors;
  std::vector<const Tensor*> inputs;
  for (const int64_t value : values) {
    primitives::store_elements(&value, dtype, tensors.emplace_back(dtype, Shape{}).data(), 1);
  }
  for (const Tensor& tensor : tensors) inputs.push_back(&tensor);
  return primitives::integers(primitive.compute(inputs).at(0)).at(0);
}

Dim symbolic(primitives::Binary::Function function, const Dim& a, const Dim& b) {
  if (function == primitives::Binary::add) return a + b;
  if (function == primitives::Binary::sub) return a - b;
  if (function == primitives::Binary::mul) return a * b;
  if (function == primitives::Binary::div) return a.divided_by(b).value_or(Dim::unknown());
  if (function == primitives::Binary::min || function == primitives::Binary::max) {
    const Truth less = is_less(a, b), greater = is_less(b, a);
    if (!less && !greater) return Dim::unknown();
    const bool a_is_less = less.value_or(false) || !greater.value_or(true);
    return a_is_less == (function == primitives::Binary::min) ? a : b;
  }
  if (function == primitives::Binary::equal) return value_of(is_equal(a, b));
  if (function == primitives::Binary::less) return value_of(is_less(a, b));
  if (function == primitives::Binary::greater) return value_of(is_less(b, a));
  if (function == primitives::Binary::less_equal) return value_of(inverse(is_less(b, a)));
  if (function == primitives::Binary::greater_equal) return value_of(inverse(is_less(a, b)));
  return Dim::unknown();
}

/// Known where it follows from what is known of the operands.
Dim applied(const primitives::Binary& op, DType dtype, const Dim& a, const Dim& b) {
  if (a.is_constant() && b.is_constant()) return computed(op, dtype, {a.constant(), b.constant()});
  // Two unknowns without names are two values.
  const std::vector<std::string> left = a.symbols(), right = b.symbols();
  const std::string unnamed = Dim::unknown().text();
  if (std::count(left.begin(), left.end(), unnamed) + std::count(right.begin(), right.end(), unnamed) > 0) {
    return Dim::unknown();
  }
  try {
    Dim value = symbolic(op.function, a, b);
    return value.text().size() > longest_value ? Dim::unknown() : value;
  } catch (const Error&) {  // a coefficient overflows
    return Dim::unknown();
  }
}

Dim applied(const primitives::Unary& op, DType dtype, const Dim& a) {
  if (a.is_constant()) return computed(op, dtype, {a.constant()});
  if (op.function == op.neg) return applied(primitives::Binary{primitives::Binary::sub}, dtype, 0, a);
  if (op.function == op.abs || op.function == op.relu) return is_surely_at_least(a, 0) ? a : Dim::unknown();
  if (op.function == op.sign) return is_surely_at_least(a, 1) ? Dim(1) : Dim::unknown();
  return Dim::unknown();
}

/// Element i of a broadcast operand.
const Dim& element(const std::vector<Dim>& contents, size_t i) { return contents[contents.size() == 1 ? 0 : i]; }

/// As many elements as contents that are broadcast against one another have; 0 where they do not fit.
size_t common_count(std::initializer_list<const std::vector<Dim>*> all) {
  size_t count = 1;
  for (const std::vector<Dim>* contents : all) {
    if (contents == nullptr || contents->size() == 1) continue;
    if (count != 1 && contents->size() != count) return 0;
    count = contents->size();
  }
  return count;
}

}  // namespace

OutputTypes infer_types(const primitives::Unary& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  const ValueType& x = rule.type(0);
  ValueType y{primitives::unary_result(op.function, x.dtype), x.shape};
  if (const std::vector<Dim>* contents = rule.contents(0)) {
    std::vector<Dim> values;
    for (const Dim& value : *contents) values.push_back(applied(op, x.dtype, value));
    give_contents(y, std::move(values));
  }
  return {y};
}

OutputTypes infer_types(const primitives::Binary& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  rule.same_dtype(0, 1);
  const ValueType &x = rule.type(0), &y = rule.type(1);
  ValueType z{primitives::binary_result(op.function, x.dtype), broadcast(rule, x.shape, y.shape)};
  const std::vector<Dim>*xs = rule.contents(0), *ys = rule.contents(1);
  if (xs != nullptr && ys != nullptr) {
    std::vector<Dim> values;
    for (size_t i = 0; i < common_count({xs, ys}); ++i) {
      values.push_back(applied(op, x.dtype, element(*xs, i), element(*ys, i)));
    }
    give_contents(z, std::move(values));
  }
  return {z};
}

OutputTypes infer_types(const primitives::Where& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 3);
  rule.require(rule.type(0).dtype == DType::boolean, "takes a bool condition");
  rule.same_dtype(1, 2);
  ValueType z{rule.type(1).dtype,
              broadcast(rule, broadcast(rule, rule.type(1).shape, rule.type(2).shape), rule.type(0).shape)};
  const std::vector<Dim>*conditions = rule.contents(0), *xs = rule.contents(1), *ys = rule.contents(2);
  if (xs != nullptr || ys != nullptr) {
    std::vector<Dim> values;
    for (size_t i = 0; i < common_count({conditions, xs, ys}); ++i) {
      const Dim x = xs != nullptr ? element(*xs, i) : Dim::unknown();
      const Dim y = ys != nullptr ? element(*ys, i) : Dim::unknown();
      const std::optional<int64_t> condition =
          conditions != nullptr ? element(*conditions, i).try_constant() : std::nullopt;
      values.push_back(condition ? (*condition != 0 ? x : y) : x == y ? x : Dim::unknown());
    }
    give_contents(z, std::move(values));
  }
  return {z};
}

OutputTypes infer_types(const primitives::Clip& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  const ValueType& x = rule.type(0);
  rule.require(x.dtype != DType::boolean, "takes no bool");
  std::optional<std::vector<Dim>> values;
  if (rule.contents(0) != nullptr) values = *rule.contents(0);
  for (const size_t limit : {size_t{1}, size_t{2}}) {
    if (!rule.has(limit)) continue;
    rule.same_dtype(limit, 0);
    const std::vector<Dim>* limits = rule.contents(limit);
    if (limits == nullptr || limits->size() != 1) values.reset();
    if (!values) continue;
    const primitives::Binary bound{limit == 1 ? primitives::Binary::max : primitives::Binary::min};
    for (Dim& value : *values) value = applied(bound, x.dtype, value, limits->front());
  }
  ValueType y{x.dtype, x.shape};
  if (values) give_contents(y, std::move(*values));
  return {y};
}

OutputTypes infer_types(const primitives::Cast& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  const ValueType& x = rule.type(0);
  ValueType y{op.to, x.shape};
  if (const std::vector<Dim>* contents = rule.contents(0)) {
    std::vector<Dim> values;
    for (const Dim& value : *contents) {
      if (value.is_constant()) {
        values.emplace_back(y.dtype == DType::i32       ? static_cast<int32_t>(value.constant())
                            : y.dtype == DType::boolean ? int64_t{value.constant() != 0}
                                                        : value.constant());
      } else if (y.dtype == DType::boolean && x.dtype != DType::boolean) {
        values.push_back(is_surely_at_least(value, 1) ? Dim(1) : Dim::unknown());
      } else {
        values.push_back(value);
      }
    }
    give_contents(y, std::move(values));
  }
  return {y};
}

OutputTypes infer_types(const primitives::BitCast& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  rule.require(size_of(op.to) == size_of(rule.type(0).dtype), "changes the elements' size");
  return {{op.to, rule.type(0).shape}};
}

OutputTypes infer_types(const primitives::Cumulate& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  const ValueType& x = rule.type(0);
  rule.require(x.dtype != DType::boolean, "takes no bool");
  rule.require(!x.shape.empty(), "takes no scalar");
  if (const std::optional<std::vector<int64_t>> axes = rule.numbers(1)) {
    rule.require(axes->size() == 1, "takes one axis");
    rule.axis(axes->front(), x.shape.size());
  }
  return {{x.dtype, x.shape}};
}

OutputTypes infer_types(const primitives::Dropout& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  const ValueType& x = rule.type(0);
  return {{x.dtype, x.shape}, {DType::boolean, x.shape}};
}

}  // namespace incipit::ops
