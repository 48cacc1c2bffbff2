#include "primitives/binary.h"

#include <algorithm>
#include <cmath>

#include "primitives/broadcast.h"
#include "primitives/element_function.h"
#include "primitives/extremes.h"
#include "primitives/known_values.h"
#include "primitives/rule.h"

namespace incipit::primitives {
namespace {

/// z[i] = f(x[i·x_step], y[i·y_step]); steps are 0 or 1. z is neither x nor y.
template <typename T>
using Kernel = void (*)(const T* x, int64_t x_step, const T* y, int64_t y_step, T* z, size_t count);

template <typename T, typename F>
void map(const T* __restrict x, int64_t x_step, const T* __restrict y, int64_t y_step, T* __restrict z, size_t count) {
  if (x_step == 1 && y_step == 1) {
    for (size_t i = 0; i < count; ++i) z[i] = F{}(x[i], y[i]);
  } else if (x_step == 1) {
    const T same = *y;
    for (size_t i = 0; i < count; ++i) z[i] = F{}(x[i], same);
  } else if (y_step == 1) {
    const T same = *x;
    for (size_t i = 0; i < count; ++i) z[i] = F{}(same, y[i]);
  } else {
    std::fill_n(z, count, F{}(*x, *y));
  }
}

using Name = Binary::Function;
using Function = ElementFunction<Name, Kernel>;

template <typename F>
constexpr Function numeric(Name name, F) {
  return {name, map<float, F>, map<double, F>, map<int64_t, F>, map<uint64_t, F>};
}
template <typename F>
constexpr Function comparison(Name name, Bools bools, F) {
  return {name, map<float, F>, map<double, F>, map<int64_t, F>, map<uint64_t, F>, bools, true};
}

/// An integer as one that may overflow; other types as they are.
template <typename T>
auto wrapping(T x) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<uint64_t>(x);
  } else {
    return x;
  }
}

template <typename T>
T quotient(T x, T y) {
  if constexpr (std::is_floating_point_v<T>) {
    return x / y;
  } else {
    if (y == 0) return 0;
    if (std::is_signed_v<T> && y == static_cast<T>(-1)) return static_cast<T>(uint64_t{0} - static_cast<uint64_t>(x));
    return x / y;
  }
}

template <typename T>
T truncated_remainder(T x, T y) {
  if constexpr (std::is_floating_point_v<T>) {
    return std::fmod(x, y);
  } else {
    return y == 0 || (std::is_signed_v<T> && y == static_cast<T>(-1)) ? T{0} : x % y;
  }
}

template <typename T>
T floored_remainder(T x, T y) {
  const T remainder = truncated_remainder(x, y);
  return remainder != 0 && (remainder < 0) != (y < 0) ? remainder + y : remainder;
}

template <typename T>
T power(T x, T y) {
  if constexpr (std::is_floating_point_v<T>) {
    if (y == 2) return x * x;
    return std::pow(x, y);
  } else {
    if (std::is_signed_v<T> && y < 0) {
      if (x == 1) return 1;
      return x != static_cast<T>(-1) ? T{0} : y % 2 == 0 ? T{1} : x;
    }
    uint64_t result = 1, factor = static_cast<uint64_t>(x);
    for (auto left = static_cast<uint64_t>(y); left != 0; left >>= 1, factor *= factor) {
      if ((left & 1) != 0) result *= factor;
    }
    return static_cast<T>(result);
  }
}

constexpr Function functions[] = {
    numeric(Name::add, [](auto x, auto y) { return static_cast<decltype(x)>(wrapping(x) + wrapping(y)); }),
    numeric(Name::sub, [](auto x, auto y) { return static_cast<decltype(x)>(wrapping(x) - wrapping(y)); }),
    numeric(Name::mul, [](auto x, auto y) { return static_cast<decltype(x)>(wrapping(x) * wrapping(y)); }),
    numeric(Name::div, [](auto x, auto y) { return quotient(x, y); }),
    numeric(Name::power, [](auto x, auto y) { return power(x, y); }),
    numeric(Name::mod, [](auto x, auto y) { return floored_remainder(x, y); }),
    numeric(Name::fmod, [](auto x, auto y) { return truncated_remainder(x, y); }),
    numeric(Name::min, [](auto x, auto y) { return smaller(x, y); }),
    numeric(Name::max, [](auto x, auto y) { return larger(x, y); }),
    numeric(Name::prelu,
            [](auto x, auto y) { return x < 0 ? static_cast<decltype(x)>(wrapping(x) * wrapping(y)) : x; }),
    comparison(Name::equal, Bools::too, [](auto x, auto y) { return static_cast<decltype(x)>(x == y); }),
    comparison(Name::less, Bools::none, [](auto x, auto y) { return static_cast<decltype(x)>(x < y); }),
    comparison(Name::less_equal, Bools::none, [](auto x, auto y) { return static_cast<decltype(x)>(x <= y); }),
    comparison(Name::greater, Bools::none, [](auto x, auto y) { return static_cast<decltype(x)>(x > y); }),
    comparison(Name::greater_equal, Bools::none, [](auto x, auto y) { return static_cast<decltype(x)>(x >= y); }),
};

template <typename F>
constexpr Function bits(Name name, F) {
  return {name, nullptr, nullptr, map<int64_t, F>, map<uint64_t, F>, Bools::too};
}
template <typename F>
constexpr Function shift(Name name, F) {
  return {name, nullptr, nullptr, nullptr, map<uint64_t, F>};
}
constexpr Function bit_functions[] = {
    bits(Name::and_, [](auto x, auto y) { return x & y; }),
    bits(Name::or_, [](auto x, auto y) { return x | y; }),
    bits(Name::xor_, [](auto x, auto y) { return x ^ y; }),
    // Narrower integers lose what is shifted out of them when they are stored.
    shift(Name::shift_left, [](auto x, auto y) { return y < 64 ? x << y : 0; }),
    shift(Name::shift_right, [](auto x, auto y) { return y < 64 ? x >> y : 0; }),
};

const Function& find(Name name) { return find_function<Function>(Binary::op_name, name, functions, bit_functions); }

/// An operand's elements as T, a chunk at a time: in place where they are T already.
template <typename T>
class Operand {
 public:
  explicit Operand(const Tensor& tensor)
      : tensor_(tensor), buffer_(tensor.dtype() == dtype_of_carrier<T> ? 0 : chunk_elements) {}
  const T* elements(int64_t from, size_t count) {
    const std::byte* at = tensor_.data() + static_cast<size_t>(from) * size_of(tensor_.dtype());
    if (buffer_.empty()) return reinterpret_cast<const T*>(at);
    load_elements(tensor_.dtype(), at, buffer_.data(), count);
    return buffer_.data();
  }

 private:
  const Tensor& tensor_;
  std::vector<T> buffer_;
};

}  // namespace

DType binary_result(Binary::Function function, DType dtype) { return find(function).result(Binary::op_name, dtype); }

Outputs Binary::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  const Tensor& y = required_input(op_name, inputs, 1);
  if (x.dtype() != y.dtype()) {
    throw Error(op_name, "'" + std::string(name_of(function)) + "' takes elements of one type, not of " +
                             std::string(name_of(x.dtype())) + " and " + std::string(name_of(y.dtype())));
  }
  const DType result = binary_result(function, x.dtype());
  Outputs outputs;
  Tensor& z = outputs.emplace_back(result, broadcast_shape(op_name, x.shape(), y.shape()));
  const std::array<const Shape*, 2> shapes{&x.shape(), &y.shape()};
  const BroadcastWalk walk(z.shape(), shapes);
  with_carrier(x.dtype(), [&]<typename T>(ElementTag<T>) {
    const Kernel<T> kernel = find(function).template kernel<T>();
    const bool is_direct = x.dtype() == dtype_of_carrier<T> && result == x.dtype();
    const auto run = static_cast<size_t>(walk.run());
    const size_t chunk = is_direct ? run : chunk_elements;
    Operand<T> left(x), right(y);
    std::vector<T> made(is_direct ? 0 : chunk_elements);
    walk.for_each([&](int64_t to, const BroadcastWalk::Offsets& from) {
      for (size_t done = 0; done < run; done += chunk) {
        const size_t n = std::min(chunk, run - done);
        const auto offset = static_cast<int64_t>(done);
        const auto [x_step, y_step, unused] = walk.steps();
        const T* const xs = left.elements(from[0] + offset * x_step, x_step == 0 ? 1 : n);
        const T* const ys = right.elements(from[1] + offset * y_step, y_step == 0 ? 1 : n);
        std::byte* const zs = z.data() + static_cast<size_t>(to + offset) * size_of(result);
        kernel(xs, x_step, ys, y_step, is_direct ? reinterpret_cast<T*>(zs) : made.data(), n);
        if (!is_direct) store_elements(made.data(), result, zs, n);
      }
    });
  });
  return outputs;
}

OutputTypes Binary::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 2);
  rule.same_dtype(0, 1);
  const ValueType &x = rule.type(0), &y = rule.type(1);
  ValueType z{binary_result(function, x.dtype), broadcast(rule, x.shape, y.shape)};
  const std::vector<Dim>*xs = rule.contents(0), *ys = rule.contents(1);
  if (xs != nullptr && ys != nullptr) {
    std::vector<Dim> values;
    for (size_t i = 0; i < common_count({xs, ys}); ++i) {
      values.push_back(applied(*this, x.dtype, element(*xs, i), element(*ys, i)));
    }
    give_contents(z, std::move(values));
  }
  return {z};
}

}  // namespace incipit::primitives
