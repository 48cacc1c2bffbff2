#include "primitives/range.h"

#include <cmath>

#include "primitives/element_types.h"

namespace incipit::primitives {

int64_t range_count(int64_t start, int64_t limit, int64_t delta) {
  if (delta == 0) throw Error(Range::op_name, "its delta is 0");
  if (delta > 0 ? start >= limit : start <= limit) return 0;
  // Distances of numbers of 64 bits are numbers of 64 bits without a sign.
  const auto a = static_cast<uint64_t>(start), b = static_cast<uint64_t>(limit), d = static_cast<uint64_t>(delta);
  const uint64_t count = (delta > 0 ? (b - a - 1) / d : (a - b - 1) / -d) + 1;
  if (count > INT64_MAX) throw Error(Range::op_name, "it has more numbers than there can be elements");
  return static_cast<int64_t>(count);
}

Outputs Range::compute(Inputs inputs) const {
  const Tensor& start = required_input(op_name, inputs, 0);
  for (size_t i = 0; i < 3; ++i) {
    const Tensor& bound = required_input(op_name, inputs, i);
    if (bound.dtype() != start.dtype() || bound.elements() != 1) {
      throw Error(op_name, "start, limit and delta are not one number each of the same type");
    }
  }
  return with_element_type(start.dtype(), [&]<typename T>(ElementTag<T>) -> Outputs {
    if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, uint64_t>) {
      refuse_dtype(op_name, start.dtype());
    } else {
      const auto first = load(inputs[0]->as<T>()[0]);
      const auto limit = load(inputs[1]->as<T>()[0]);
      const auto delta = load(inputs[2]->as<T>()[0]);
      int64_t count = 0;
      if constexpr (is_floating_element<T>) {
        const double steps = std::ceil((static_cast<double>(limit) - static_cast<double>(first)) / delta);
        if (std::isnan(steps) || steps > 0x1p48) throw Error(op_name, "its limit is never reached");
        count = steps > 0 ? static_cast<int64_t>(steps) : 0;
      } else {
        count = range_count(static_cast<int64_t>(first), static_cast<int64_t>(limit), static_cast<int64_t>(delta));
      }
      Tensor range(start.dtype(), {count});
      const std::span<T> numbers = range.as<T>();
      for (size_t i = 0; i < numbers.size(); ++i) {
        if constexpr (is_floating_element<T>) {
          numbers[i] = round_to<T>(first + static_cast<arithmetic_t<T>>(i) * delta);
        } else {
          numbers[i] = static_cast<T>(static_cast<uint64_t>(first) + i * static_cast<uint64_t>(delta));
        }
      }
      return one_output(std::move(range));
    }
  });
}

}  // namespace incipit::primitives
