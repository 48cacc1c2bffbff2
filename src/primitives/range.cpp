#include "primitives/range.h"

#include <cmath>

#include "primitives/element_types.h"
#include "primitives/rule.h"

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

OutputTypes Range::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 3);
  for (size_t i = 0; i < 3; ++i) {
    rule.same_dtype(i, 0);
    rule.require_one_element(i);
  }
  const auto bound = [&](size_t i) {
    const std::vector<Dim>* known = rule.contents(i);
    return known != nullptr && known->size() == 1 ? known->front() : Dim::unknown();
  };
  const Dim start = bound(0), limit = bound(1), delta = bound(2);
  ValueType range{rule.type(0).dtype, {Dim::unknown()}};
  if (!delta.is_constant()) return {range};
  const int64_t step = delta.constant();
  rule.require(step != 0, "its delta is 0");
  if (start.is_constant() && limit.is_constant()) {
    range.shape[0] = range_count(start.constant(), limit.constant(), step);
  } else if (!start.is_unknown() && !limit.is_unknown() && step != INT64_MIN) {
    const Dim length = step > 0 ? limit - start : start - limit;
    if (is_surely_at_least(Dim(0) - length, 0)) {
      range.shape[0] = 0;
    } else if (is_surely_at_least(length, 0)) {
      range.shape[0] = length.divided_by(step > 0 ? step : -step).value_or(Dim::unknown());
    }
  }
  const std::optional<int64_t> count = range.shape[0].try_constant();
  if (count && *count <= ValueType::max_contents) {
    std::vector<Dim> numbers;
    for (int64_t i = 0; i < *count; ++i) numbers.push_back(start + Dim(i) * delta);
    give_contents(range, std::move(numbers));
  }
  return {range};
}

}  // namespace incipit::primitives
