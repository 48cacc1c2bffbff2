// Functions of elements by their names (an enumeration): a kernel for each carrier that one takes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/error.h"
#include "primitives/carrier.h"

namespace incipit::primitives {

/// Whether a function of unsigned integers takes bools.
enum class Bools : uint8_t { none, too, only };

/// Kernel<T> is a pointer to a function that computes elements of carrier T.
template <typename Name, template <typename T> typename Kernel>
struct ElementFunction {
  Name name{};
  Kernel<float> f32 = nullptr;
  Kernel<double> f64 = nullptr;
  Kernel<int64_t> i64 = nullptr;
  Kernel<uint64_t> u64 = nullptr;
  Bools bools = Bools::none;
  bool makes_bool = false;

  template <typename T>
  Kernel<T> kernel() const {
    if constexpr (std::is_same_v<T, float>) return f32;
    if constexpr (std::is_same_v<T, double>) return f64;
    if constexpr (std::is_same_v<T, int64_t>) return i64;
    if constexpr (std::is_same_v<T, uint64_t>) return u64;
  }

  /// The dtype of what it makes of elements of `dtype`; throws Error naming `op` where it does not take those.
  DType result(std::string_view op, DType dtype) const {
    const bool has_kernel =
        with_carrier(dtype, [&]<typename T>(ElementTag<T>) { return this->template kernel<T>() != nullptr; });
    const bool is_bool = dtype == DType::boolean;
    if (!has_kernel || (is_bool ? bools == Bools::none : bools == Bools::only)) {
      throw Error(op,
                  "'" + std::string(name_of(name)) + "' does not take elements of type " + std::string(name_of(dtype)));
    }
    return makes_bool ? DType::boolean : dtype;
  }
};

/// The one of that name in either table; throws Error naming `op` where it was given none.
template <typename Function, typename Name>
const Function& find_function(std::string_view op, Name name, std::span<const Function> functions,
                              std::span<const Function> more) {
  for (const std::span<const Function> table : {functions, more}) {
    for (const Function& function : table) {
      if (function.name == name) return function;
    }
  }
  throw Error(op, "was given no function");
}

}  // namespace incipit::primitives
