#include "primitives/unary.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/activation.h"
#include "primitives/element_function.h"
#include "primitives/extremes.h"
#include "primitives/known_values.h"
#include "primitives/rule.h"

namespace incipit::primitives {
namespace {

/// y[i] = f(x[i]); y is not x.
template <typename T>
using Kernel = void (*)(const T* x, T* y, size_t count, T alpha, T beta);

template <typename T, typename F>
void map(const T* __restrict x, T* __restrict y, size_t count, T alpha, T beta) {
  for (size_t i = 0; i < count; ++i) y[i] = F{}(x[i], alpha, beta);
}

using Name = Unary::Function;
using Function = ElementFunction<Name, Kernel>;

template <typename F>
constexpr Function floating(Name name, F) {
  return {name, map<float, F>, map<double, F>};
}
template <typename F>
constexpr Function predicate(Name name, F) {
  return {name, map<float, F>, map<double, F>, nullptr, nullptr, Bools::none, true};
}
template <typename F>
constexpr Function numeric(Name name, F) {
  return {name, map<float, F>, map<double, F>, map<int64_t, F>, map<uint64_t, F>};
}

template <typename T>
T softplus(T x) {
  return larger(x, T{0}) + std::log1p(std::exp(-std::abs(x)));
}
template <typename T>
T negated(T x) {
  if constexpr (std::is_floating_point_v<T>) {
    return -x;
  } else {
    return static_cast<T>(uint64_t{0} - static_cast<uint64_t>(x));  // the least number is its own negative
  }
}

// Named by what follows the arithmetic of ONNX's definitions; `a` is alpha, `b` is beta.
constexpr Function functions[] = {
    floating(Name::exp, [](auto x, auto, auto) { return std::exp(x); }),
    floating(Name::log, [](auto x, auto, auto) { return std::log(x); }),
    floating(Name::sqrt, [](auto x, auto, auto) { return std::sqrt(x); }),
    floating(Name::reciprocal, [](auto x, auto, auto) { return 1 / x; }),
    floating(Name::floor, [](auto x, auto, auto) { return std::floor(x); }),
    floating(Name::ceil, [](auto x, auto, auto) { return std::ceil(x); }),
    floating(Name::round, [](auto x, auto, auto) { return std::nearbyint(x); }),
    floating(Name::sin, [](auto x, auto, auto) { return std::sin(x); }),
    floating(Name::cos, [](auto x, auto, auto) { return std::cos(x); }),
    floating(Name::tan, [](auto x, auto, auto) { return std::tan(x); }),
    floating(Name::asin, [](auto x, auto, auto) { return std::asin(x); }),
    floating(Name::acos, [](auto x, auto, auto) { return std::acos(x); }),
    floating(Name::atan, [](auto x, auto, auto) { return std::atan(x); }),
    floating(Name::sinh, [](auto x, auto, auto) { return std::sinh(x); }),
    floating(Name::cosh, [](auto x, auto, auto) { return std::cosh(x); }),
    floating(Name::tanh, [](auto x, auto, auto) { return std::tanh(x); }),
    floating(Name::asinh, [](auto x, auto, auto) { return std::asinh(x); }),
    floating(Name::acosh, [](auto x, auto, auto) { return std::acosh(x); }),
    floating(Name::atanh, [](auto x, auto, auto) { return std::atanh(x); }),
    floating(Name::erf, [](auto x, auto, auto) { return std::erf(x); }),
    floating(Name::sigmoid, [](auto x, auto, auto) { return sigmoid(x); }),
    floating(Name::softplus, [](auto x, auto, auto) { return softplus(x); }),
    floating(Name::softsign, [](auto x, auto, auto) { return x / (1 + std::abs(x)); }),
    floating(Name::leaky_relu, [](auto x, auto a, auto) { return x < 0 ? a * x : x; }),
    floating(Name::elu, [](auto x, auto a, auto) { return x < 0 ? a * std::expm1(x) : x; }),
    floating(Name::selu, [](auto x, auto a, auto b) { return b * (x <= 0 ? a * std::expm1(x) : x); }),
    floating(Name::celu, [](auto x, auto a, auto) { return x < 0 ? a * std::expm1(x / a) : x; }),
    floating(Name::thresholded_relu, [](auto x, auto a, auto) { return x > a ? x : decltype(x){0}; }),
    floating(Name::hard_sigmoid,
             [](auto x, auto a, auto b) { return clipped(a * x + b, decltype(x){0}, decltype(x){1}); }),
    floating(Name::hard_swish,
             [](auto x, auto, auto) {
               using T = decltype(x);
               return x * clipped(x / T{6} + T{0.5}, T{0}, T{1});
             }),
    floating(Name::swish, [](auto x, auto a, auto) { return swish(x, a); }),
    floating(Name::mish, [](auto x, auto, auto) { return x * std::tanh(softplus(x)); }),
    floating(Name::gelu_erf, [](auto x, auto, auto) { return gelu_erf(x); }),
    floating(Name::gelu_tanh, [](auto x, auto, auto) { return gelu_tanh(x); }),
    numeric(Name::abs,
            [](auto x, auto, auto) {
              if constexpr (std::is_floating_point_v<decltype(x)>)
                return std::abs(x);
              else
                return std::is_unsigned_v<decltype(x)> || x > 0 ? x : negated(x);
            }),
    numeric(Name::neg, [](auto x, auto, auto) { return negated(x); }),
    numeric(Name::sign,
            [](auto x, auto, auto) {
              using T = decltype(x);
              return x > 0                            ? T{1}
                     : x == 0                         ? T{0}
                     : std::is_unsigned_v<T> || x < 0 ? static_cast<T>(-1)
                                                      : x;  // NaN stays
            }),
    numeric(Name::relu, [](auto x, auto, auto) { return relu(x); }),
    predicate(Name::is_nan, [](auto x, auto, auto) { return static_cast<decltype(x)>(std::isnan(x)); }),
    predicate(Name::is_inf, [](auto x, auto, auto) { return static_cast<decltype(x)>(std::isinf(x)); }),
    predicate(
        Name::is_positive_inf,
        [](auto x, auto, auto) { return static_cast<decltype(x)>(x == std::numeric_limits<decltype(x)>::infinity()); }),
    predicate(Name::is_negative_inf,
              [](auto x, auto, auto) {
                return static_cast<decltype(x)>(x == -std::numeric_limits<decltype(x)>::infinity());
              }),
};

struct Not {
  template <typename T>
  T operator()(T x, T, T) const {
    return static_cast<T>(x == 0);
  }
};
struct BitwiseNot {
  template <typename T>
  T operator()(T x, T, T) const {
    return ~x;
  }
};
constexpr Function bit_functions[] = {
    {Name::not_, nullptr, nullptr, nullptr, map<uint64_t, Not>, Bools::only, true},
    {Name::bitwise_not, nullptr, nullptr, map<int64_t, BitwiseNot>, map<uint64_t, BitwiseNot>},
};

const Function& find(Name name) { return find_function<Function>(Unary::op_name, name, functions, bit_functions); }

}  // namespace

DType unary_result(Unary::Function function, DType dtype) { return find(function).result(Unary::op_name, dtype); }

Outputs Unary::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  const DType result = unary_result(function, x.dtype());
  Outputs outputs;
  Tensor& y = outputs.emplace_back(result, x.shape());
  const auto count = static_cast<size_t>(x.elements());
  with_carrier(x.dtype(), [&]<typename T>(ElementTag<T>) {
    const Kernel<T> kernel = find(function).template kernel<T>();
    const T a = static_cast<T>(std::is_floating_point_v<T> ? alpha : 0);
    const T b = static_cast<T>(std::is_floating_point_v<T> ? beta : 0);
    if (x.dtype() == dtype_of_carrier<T> && result == x.dtype()) {
      kernel(x.as<T>().data(), y.as<T>().data(), count, a, b);
      return;
    }
    std::vector<T> loaded(std::min(count, chunk_elements)), made(loaded.size());
    for (size_t from = 0; from < count; from += chunk_elements) {
      const size_t n = std::min(chunk_elements, count - from);
      load_elements(x.dtype(), x.data() + from * size_of(x.dtype()), loaded.data(), n);
      kernel(loaded.data(), made.data(), n, a, b);
      store_elements(made.data(), result, y.data() + from * size_of(result), n);
    }
  });
  return outputs;
}

OutputTypes Unary::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  const ValueType& x = rule.type(0);
  ValueType y{unary_result(function, x.dtype), x.shape};
  if (const std::vector<Dim>* contents = rule.contents(0)) {
    std::vector<Dim> values;
    for (const Dim& value : *contents) values.push_back(applied(*this, x.dtype, value));
    give_contents(y, std::move(values));
  }
  return {y};
}

}  // namespace incipit::primitives
