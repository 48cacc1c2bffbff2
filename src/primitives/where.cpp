#include "primitives/where.h"

#include <algorithm>

#include "primitives/broadcast.h"
#include "primitives/known_values.h"
#include "primitives/rule.h"

namespace incipit::primitives {
namespace {

/// T is any type of the elements' size: they are only moved.
template <typename T>
void choose(const uint8_t* condition, int64_t condition_step, const T* x, int64_t x_step, const T* y, int64_t y_step,
            T* __restrict z, int64_t count) {
  if (condition_step == 0) {
    const T* const chosen = *condition != 0 ? x : y;
    if ((*condition != 0 ? x_step : y_step) == 1) {
      std::copy_n(chosen, count, z);
    } else {
      std::fill_n(z, count, *chosen);
    }
  } else if (x_step == 1 && y_step == 1) {
    for (int64_t i = 0; i < count; ++i) z[i] = condition[i] != 0 ? x[i] : y[i];
  } else if (x_step == 1) {
    for (int64_t i = 0; i < count; ++i) z[i] = condition[i] != 0 ? x[i] : *y;
  } else if (y_step == 1) {
    for (int64_t i = 0; i < count; ++i) z[i] = condition[i] != 0 ? *x : y[i];
  } else {
    for (int64_t i = 0; i < count; ++i) z[i] = condition[i] != 0 ? *x : *y;
  }
}

}  // namespace

Outputs Where::compute(Inputs inputs) const {
  const Tensor& condition = required_input(op_name, inputs, 0);
  const Tensor& x = required_input(op_name, inputs, 1);
  const Tensor& y = required_input(op_name, inputs, 2);
  if (condition.dtype() != DType::boolean) throw Error(op_name, "takes a bool condition");
  if (x.dtype() != y.dtype()) throw Error(op_name, "chooses between elements of one type");
  Outputs outputs;
  const Shape shape = broadcast_shape(op_name, broadcast_shape(op_name, x.shape(), y.shape()), condition.shape());
  Tensor& z = outputs.emplace_back(x.dtype(), shape);
  const std::array<const Shape*, 3> shapes{&condition.shape(), &x.shape(), &y.shape()};
  const BroadcastWalk walk(shape, shapes);
  const auto move = [&]<typename T>(T) {
    const auto [condition_step, x_step, y_step] = walk.steps();
    walk.for_each([&](int64_t to, const BroadcastWalk::Offsets& from) {
      choose(condition.as<uint8_t>().data() + from[0], condition_step, x.as<T>().data() + from[1], x_step,
             y.as<T>().data() + from[2], y_step, z.as<T>().data() + to, walk.run());
    });
  };
  switch (size_of(x.dtype())) {
    case 1: move(uint8_t{}); break;
    case 2: move(uint16_t{}); break;
    case 4: move(uint32_t{}); break;
    default: move(uint64_t{});
  }
  return outputs;
}

OutputTypes Where::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 3);
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

}  // namespace incipit::primitives
