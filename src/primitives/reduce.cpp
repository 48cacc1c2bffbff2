#include "primitives/reduce.h"

#include <array>
#include <cmath>
#include <limits>

#include "base/softmax.h"
#include "primitives/carrier.h"
#include "primitives/extremes.h"
#include "primitives/reshape.h"
#include "primitives/rule.h"
#include "primitives/strided.h"

namespace incipit::primitives {
namespace {

// What is done to an element, how they are brought together, and what is done to the result.
enum class Map : uint8_t { none, magnitude, square };
enum class Join : uint8_t { add, multiply, max, min };
enum class Finish : uint8_t { none, mean, root, log, log_exp };

struct Steps {
  Map map;
  Join join;
  Finish finish;
};
// By kind.
constexpr std::array<Steps, reduce_kind_names.size()> steps_of_kinds{{{Map::none, Join::add, Finish::none},
                                                                      {Map::none, Join::add, Finish::mean},
                                                                      {Map::none, Join::max, Finish::none},
                                                                      {Map::none, Join::min, Finish::none},
                                                                      {Map::none, Join::multiply, Finish::none},
                                                                      {Map::magnitude, Join::add, Finish::none},
                                                                      {Map::square, Join::add, Finish::root},
                                                                      {Map::none, Join::add, Finish::log},
                                                                      {Map::none, Join::add, Finish::log_exp},
                                                                      {Map::square, Join::add, Finish::none}}};

// Sums and products: integers wrap, so theirs have no sign. Maxima are taken of the elements as they are.
template <typename T, Join join>
using Total = std::conditional_t<join == Join::max || join == Join::min, T,
                                 std::conditional_t<std::is_integral_v<T>, uint64_t, double>>;

template <typename T, Join join>
constexpr Total<T, join> neutral() {
  using Limits = std::numeric_limits<T>;
  if constexpr (join == Join::max) return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  if constexpr (join == Join::min) return Limits::has_infinity ? Limits::infinity() : Limits::max();
  return join == Join::multiply ? 1 : 0;
}

template <typename T, Map map, Join join>
Total<T, join> mapped(T element) {
  const auto x = static_cast<Total<T, join>>(element);
  if constexpr (map == Map::square) return x * x;
  if constexpr (map == Map::magnitude) return element < 0 ? -x : x;
  return x;
}

template <typename T, Join join>
Total<T, join> joined(Total<T, join> a, Total<T, join> b) {
  if constexpr (join == Join::max) return larger(a, b);
  if constexpr (join == Join::min) return smaller(a, b);
  if constexpr (join == Join::multiply) return a * b;
  return a + b;
}

// rows × extent × inner elements, reduced along the middle; `totals` are rows × inner.
struct Block {
  int64_t rows = 1, extent = 1, inner = 1;
};

template <typename T, Map map, Join join>
void join_block(const T* from, Block block, Total<T, join>* totals) {
  using Sum = Total<T, join>;
  for (int64_t row = 0; row < block.rows; ++row) {
    if (block.inner == 1) {
      // Several totals at once: one would have to wait for itself.
      constexpr int64_t lanes = 8;
      std::array<Sum, lanes> lane;
      lane.fill(neutral<T, join>());
      int64_t i = 0;
      for (; i + lanes <= block.extent; i += lanes) {
        for (int64_t k = 0; k < lanes; ++k) {
          Sum& total = lane[static_cast<size_t>(k)];
          total = joined<T, join>(total, mapped<T, map, join>(from[i + k]));
        }
      }
      for (; i < block.extent; ++i) lane[0] = joined<T, join>(lane[0], mapped<T, map, join>(from[i]));
      for (size_t k = 1; k < lanes; ++k) lane[0] = joined<T, join>(lane[0], lane[k]);
      totals[row] = lane[0];
      from += block.extent;
      continue;
    }
    Sum* line = totals + row * block.inner;
    std::fill_n(line, block.inner, neutral<T, join>());
    for (int64_t i = 0; i < block.extent; ++i, from += block.inner) {
      for (int64_t k = 0; k < block.inner; ++k) {
        line[k] = joined<T, join>(line[k], mapped<T, map, join>(from[k]));
      }
    }
  }
}

template <typename T, typename Sum>
T finished(Finish finish, Sum total, int64_t count) {
  if (finish == Finish::none) return static_cast<T>(total);
  if constexpr (std::is_floating_point_v<T>) {
    switch (finish) {
      case Finish::mean: return static_cast<T>(total / static_cast<double>(count));
      case Finish::root: return static_cast<T>(std::sqrt(total));
      default: return static_cast<T>(std::log(total));
    }
  } else {
    const auto integer = static_cast<T>(total);
    if (finish == Finish::mean) return count == 0 ? 0 : integer / static_cast<T>(count);
    const auto number = static_cast<double>(integer);
    const double result = finish == Finish::root ? std::sqrt(number) : std::log(number);
    return std::isfinite(result) ? static_cast<T>(result) : 0;
  }
}

template <typename T, Map map, Join join>
void reduce_block(Finish finish, const T* from, Block block, T* to) {
  std::vector<Total<T, join>> totals(static_cast<size_t>(block.rows * block.inner));
  join_block<T, map, join>(from, block, totals.data());
  for (const auto total : totals) *to++ = finished<T>(finish, total, block.extent);
}

template <typename T>
void log_sums(const T* from, Block block, T* to) {
  for (int64_t row = 0; row < block.rows; ++row) {
    for (int64_t column = 0; column < block.inner; ++column) {
      const T* line = from + row * block.extent * block.inner + column;
      const double result = log_sum_exp<double>(line, block.extent, block.inner);
      if constexpr (std::is_floating_point_v<T>) {
        *to++ = static_cast<T>(result);
      } else {
        *to++ = std::abs(result) < 0x1p62 ? static_cast<T>(result) : 0;
      }
    }
  }
}

template <typename T>
void reduce(const Steps& steps, const T* from, Block block, T* to) {
  const Finish finish = steps.finish;
  if (finish == Finish::log_exp) return log_sums(from, block, to);
  switch (steps.join) {
    case Join::multiply: return reduce_block<T, Map::none, Join::multiply>(finish, from, block, to);
    case Join::max: return reduce_block<T, Map::none, Join::max>(finish, from, block, to);
    case Join::min: return reduce_block<T, Map::none, Join::min>(finish, from, block, to);
    case Join::add: break;
  }
  switch (steps.map) {
    case Map::none: return reduce_block<T, Map::none, Join::add>(finish, from, block, to);
    case Map::magnitude: return reduce_block<T, Map::magnitude, Join::add>(finish, from, block, to);
    case Map::square: return reduce_block<T, Map::square, Join::add>(finish, from, block, to);
  }
}

// The extremes of what there is of a narrow type, which its wide form does not know.
void fill_with_neutral(Join join, Tensor& tensor) {
  with_element_type(tensor.dtype(), [&]<typename T>(ElementTag<T>) {
    T value{};
    if constexpr (is_floating_element<T>) {
      const auto infinity = std::numeric_limits<arithmetic_t<T>>::infinity();
      value = round_to<T>(join == Join::max ? -infinity : infinity);
    } else {
      value = join == Join::max ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max();
    }
    std::fill(tensor.as<T>().begin(), tensor.as<T>().end(), value);
  });
}

// The axes as one block: neighbours that are both reduced or both kept are one axis. Nothing where that leaves more
// than kept, reduced and kept.
bool as_block(const Shape& shape, const std::vector<bool>& gone, Block& block) {
  block = {};
  int phase = 0;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 1) continue;
    if (gone[axis]) {
      if (phase > 1) return false;
      phase = 1;
      block.extent *= shape[axis];
    } else if (phase == 0) {
      block.rows *= shape[axis];
    } else {
      phase = 2;
      block.inner *= shape[axis];
    }
  }
  return true;
}

// Brings the reduced axes behind the others.
Tensor gathered(const Tensor& data, const std::vector<bool>& gone, Block& block) {
  const std::vector<int64_t> from = dense_strides(data.shape());
  Shape shape;
  std::vector<int64_t> strides;
  block = {};
  for (const bool pick : {false, true}) {
    for (size_t axis = 0; axis < from.size(); ++axis) {
      if (gone[axis] != pick) continue;
      shape.push_back(data.shape()[axis]);
      strides.push_back(from[axis]);
      (pick ? block.extent : block.rows) *= data.shape()[axis];
    }
  }
  Tensor turned(data.dtype(), shape);
  copy_strided(data.data(), std::move(shape), std::move(strides), size_of(data.dtype()), turned.data());
  return turned;
}

}  // namespace

std::vector<bool> Reduce::reduced_axes(const std::vector<int64_t>& axes, size_t rank) const {
  if (axes.empty()) return std::vector<bool>(rank, !noop_with_empty_axes);
  return axis_set(op_name, axes, rank);
}

Outputs Reduce::compute(Inputs inputs) const {
  const Tensor& data = required_input(op_name, inputs, 0);
  const Tensor* axes = optional_input(inputs, 1);
  const Shape& from = data.shape();
  const std::vector<bool> gone = reduced_axes(axes != nullptr ? integers(*axes) : Shape{}, from.size());
  const Steps& how = steps_of_kinds[static_cast<size_t>(kind)];
  Shape shape;
  for (size_t axis = 0; axis < from.size(); ++axis) {
    if (!gone[axis] || keepdims) shape.push_back(gone[axis] ? 1 : from[axis]);
  }
  Tensor result(carrier_of(data.dtype()), shape);
  if (result.elements() == 0) return one_output(Tensor(data.dtype(), std::move(shape)));
  if (data.elements() == 0 && (how.join == Join::max || how.join == Join::min)) {
    result = Tensor(data.dtype(), std::move(shape));
    fill_with_neutral(how.join, result);
    return one_output(std::move(result));
  }
  Block block;
  Tensor turned, storage;
  const Tensor* source = &data;
  if (!as_block(from, gone, block)) {
    turned = gathered(data, gone, block);
    source = &turned;
  }
  const Tensor& wide = widened(*source, storage);
  with_carrier(wide.dtype(),
               [&]<typename T>(ElementTag<T>) { reduce<T>(how, wide.as<T>().data(), block, result.as<T>().data()); });
  return one_output(narrowed(std::move(result), data.dtype()));
}

OutputTypes Reduce::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  const ValueType& data = rule.type(0);
  const size_t rank = data.shape.size();
  std::optional<std::vector<int64_t>> axes(std::in_place);
  if (rule.has(1)) {
    const size_t count = rule.list_length(1);
    if (count > 0) axes = rule.numbers(1);
    if (!axes) {
      rule.require(count <= rank, "more axes are reduced than there are");
      return {{data.dtype, std::vector<Dim>(keepdims ? rank : rank - count, Dim::unknown())}};
    }
  }
  ValueType result{data.dtype, {}};
  const std::vector<bool> gone = reduced_axes(*axes, rank);
  for (size_t axis = 0; axis < rank; ++axis) {
    if (!gone[axis]) {
      result.shape.push_back(data.shape[axis]);
    } else if (keepdims) {
      result.shape.push_back(1);
    }
  }
  // Numbers of elements are computed so.
  const std::vector<Dim>* contents = rule.contents(0);
  const bool is_sum = kind == sum;
  if (contents != nullptr && data.dtype == DType::i64 && rank == 1 && gone[0] && (is_sum || kind == prod)) {
    Dim total = is_sum ? Dim(0) : product(*contents, 0, contents->size());
    for (size_t i = 0; is_sum && i < contents->size(); ++i) total = total + (*contents)[i];
    give_contents(result, {total});
  }
  return {result};
}

}  // namespace incipit::primitives
