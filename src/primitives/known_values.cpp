#include "primitives/known_values.h"

#include <algorithm>

#include "base/error.h"
#include "primitives/carrier.h"
#include "primitives/rule.h"

namespace incipit::primitives {
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
    store_elements(&value, dtype, tensors.emplace_back(dtype, Shape{}).data(), 1);
  }
  for (const Tensor& tensor : tensors) inputs.push_back(&tensor);
  return integers(primitive.compute(inputs).at(0)).at(0);
}

Dim symbolic(Binary::Function function, const Dim& a, const Dim& b) {
  if (function == Binary::add) return a + b;
  if (function == Binary::sub) return a - b;
  if (function == Binary::mul) return a * b;
  if (function == Binary::div) return a.divided_by(b).value_or(Dim::unknown());
  if (function == Binary::min || function == Binary::max) {
    const Truth less = is_less(a, b), greater = is_less(b, a);
    if (!less && !greater) return Dim::unknown();
    const bool a_is_less = less.value_or(false) || !greater.value_or(true);
    return a_is_less == (function == Binary::min) ? a : b;
  }
  if (function == Binary::equal) return value_of(is_equal(a, b));
  if (function == Binary::less) return value_of(is_less(a, b));
  if (function == Binary::greater) return value_of(is_less(b, a));
  if (function == Binary::less_equal) return value_of(inverse(is_less(b, a)));
  if (function == Binary::greater_equal) return value_of(inverse(is_less(a, b)));
  return Dim::unknown();
}

}  // namespace

Dim applied(const Binary& op, DType dtype, const Dim& a, const Dim& b) {
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

Dim applied(const Unary& op, DType dtype, const Dim& a) {
  if (a.is_constant()) return computed(op, dtype, {a.constant()});
  if (op.function == op.neg) return applied(Binary{Binary::sub}, dtype, 0, a);
  if (op.function == op.abs || op.function == op.relu) return is_surely_at_least(a, 0) ? a : Dim::unknown();
  if (op.function == op.sign) return is_surely_at_least(a, 1) ? Dim(1) : Dim::unknown();
  return Dim::unknown();
}

const Dim& element(const std::vector<Dim>& contents, size_t i) { return contents[contents.size() == 1 ? 0 : i]; }

size_t common_count(std::initializer_list<const std::vector<Dim>*> all) {
  size_t count = 1;
  for (const std::vector<Dim>* contents : all) {
    if (contents == nullptr || contents->size() == 1) continue;
    if (count != 1 && contents->size() != count) return 0;
    count = contents->size();
  }
  return count;
}

}  // namespace incipit::primitives
