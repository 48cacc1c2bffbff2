#include "raised_variants.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace incipit {
namespace {

using primitives::Binary;
using primitives::Unary;

constexpr float infinity = std::numeric_limits<float>::infinity();

ValueId repeated(Variant& v, ValueId heads, int64_t times) {
  const std::vector<Dim> shape = v.graph.value(heads).type.shape;
  const ValueId single = v.add(primitives::Unsqueeze{}, {heads, v.integers({2})});
  const ValueId batch = v.add(primitives::ShapeOf{0, 1}, {heads}), length = v.add(primitives::ShapeOf{2, 3}, {heads});
  const ValueId width = v.add(primitives::ShapeOf{3, 4}, {heads}), groups = v.add(primitives::ShapeOf{1, 2}, {heads});
  const ValueId all = v.add(primitives::Concat{0}, {batch, groups, v.integers({times}), length, width});
  const ValueId wide = v.add(primitives::Expand{}, {single, all});
  const ValueId joined = v.add(Binary{Binary::mul}, {groups, v.integers({times})});
  return v.add(primitives::Reshape{}, {wide, v.add(primitives::Concat{0}, {batch, joined, length, width})});
}

/// Shape of a mask: some of the last axes of the scores'.
std::vector<Dim> mask_shape(Variant& v) {
  std::vector<Dim> shape{v.chance(0.5) ? Dim(1) : v.extent("batch", 2), v.chance(0.5) ? Dim(1) : v.extent("heads", 2),
                         v.chance(0.3) ? Dim(1) : v.extent("seq", 3), v.chance(0.1) ? Dim(1) : v.extent("keys", 4)};
  shape.erase(shape.begin(), shape.begin() + (v.chance(0.6) ? 0 : v.one_of<int>({1, 2, 3})));
  return shape;
}

ValueId masked(Variant& v, ValueId scores) {
  const float number = v.one_of<float>({-infinity, -3.4028235e38F, -65504, -1e4F, 0});
  const ValueId condition = v.input(DType::boolean, mask_shape(v));
  const DType dtype = v.dtype_of(scores);
  switch (v.one_of<int>({0, 1, 2, 3, 4})) {
    case 0: return scores;
    case 1: return v.add(primitives::Where{}, {condition, scores, v.number(dtype, number)});
    case 2: return v.add(primitives::Where{}, {condition, v.number(dtype, number), scores});
    case 3: {
      ValueId mask = v.input(v.dtype(), mask_shape(v));
      v.unite(scores, mask);
      return v.binary(Binary::add, scores, mask);
    }
    default: {
      const DType own = v.chance(0.7) ? dtype : v.dtype();
      ValueId mask = v.add(primitives::Where{}, {condition, v.number(own, 0), v.number(own, number)});
      v.unite(scores, mask);
      return v.binary(Binary::add, scores, mask);
    }
  }
}

}  // namespace

void spell_attention(Variant& v) {
  const int64_t groups = v.chance(0.2) ? 2 : 1;
  const auto heads = [&](const char* positions, int64_t count) {
    return v.input(v.dtype(), {v.extent("batch", 2), v.extent("heads", 2), v.extent(positions, count), 8});
  };
  ValueId q = v.scaled(heads("seq", 3)), k = heads("keys", 4), value = heads("keys", 4);
  if (groups > 1 && v.chance(0.8)) q = repeated(v, q, groups);
  if (groups > 1 && v.chance(0.9)) k = repeated(v, k, groups);
  if (groups > 1 && v.chance(0.9)) value = repeated(v, value, groups);
  ValueId turned = v.scaled(v.add(primitives::Transpose{{0, 1, 3, 2}}, {v.scaled(v.wander(k))}));
  v.unite(q, turned);
  ValueId scores = v.scaled(v.add(primitives::MatMul{}, {v.wander(q), turned}));
  if (v.chance(0.2)) {
    const DType dtype = v.dtype_of(scores);
    const float cap = v.chance(0.9) ? 4.0F : 2.0F;
    scores = v.unary(Unary::tanh, v.binary(Binary::div, scores, v.number(dtype, 4.0F)));
    scores = v.binary(Binary::mul, scores, v.number(dtype, cap));
  }
  ValueId weights = v.add(primitives::Softmax{-1}, {v.wander(masked(v, v.wander(scores)))});
  weights = v.wander(weights);
  v.unite(weights, value);
  std::vector<ValueId> outputs{v.add(primitives::MatMul{}, {weights, value})};
  if (v.chance(0.5)) outputs[0] = v.add(primitives::Transpose{{0, 2, 1, 3}}, {outputs[0]});
  if (v.chance(0.2)) outputs.push_back(weights);
  v.graph.set_outputs(outputs);
}

namespace {

/// Cosines or sines for `width` columns, as the caller's, or as a constant.
ValueId table(Variant& v, DType dtype, int64_t width, bool neighbours) {
  std::vector<Dim> shape{v.chance(0.6) ? Dim(1) : v.extent("batch", 2), v.chance(0.8) ? Dim(1) : v.extent("heads", 2),
                         v.chance(0.85) ? v.extent("seq", 3) : Dim(1), width};
  shape.erase(shape.begin(), shape.begin() + (v.chance(0.5) ? 0 : v.one_of<int>({1, 2, 3})));
  if (v.chance(0.3)) return v.input(dtype, shape);
  if (v.chance(0.5)) {  // of equal columns
    shape.back() = width / 2;
    const ValueId half = v.input(dtype, shape);
    if (!neighbours) return v.add(primitives::Concat{-1}, {half, half});
    const ValueId apart = v.add(primitives::Unsqueeze{}, {half, v.integers({static_cast<int64_t>(shape.size())})});
    std::vector<ValueId> sizes;
    for (int64_t axis = 0; axis + 1 < std::ssize(shape); ++axis) {
      sizes.push_back(v.add(primitives::ShapeOf{axis, axis + 1}, {half}));
    }
    sizes.push_back(v.integers({width}));
    const ValueId pairs = v.add(primitives::Concat{-1}, {apart, apart});
    return v.add(primitives::Reshape{}, {pairs, v.add(primitives::Concat{0}, sizes)});
  }
  Shape extents;
  for (const Dim& dim : shape) extents.push_back(dim.evaluate(v.extents));
  return v.constant(dtype, extents, v.numbers(element_count(extents)));
}

ValueId slice(Variant& v, ValueId x, int64_t from, int64_t to, int64_t step = 1) {
  return v.add(primitives::Slice{}, {x, v.integers({from}), v.integers({to}), v.integers({-1}), v.integers({step})});
}

}  // namespace

void spell_rotation(Variant& v) {
  const DType dtype = v.chance(0.7) ? DType::f32 : DType::f16;
  const bool neighbours = v.chance(0.4), is_partial = v.chance(0.3);
  const int64_t width = 4;
  const ValueId all =
      v.input(dtype, {v.extent("batch", 2), v.extent("heads", 2), v.extent("seq", 3), is_partial ? width + 2 : width});
  const ValueId x = is_partial ? slice(v, all, 0, width) : all;
  ValueId turned;
  if (neighbours) {
    const ValueId even = slice(v, x, 0, INT64_MAX, 2), odd = slice(v, x, 1, INT64_MAX, 2);
    const ValueId last = v.integers({4});
    const ValueId pairs =
        v.add(primitives::Concat{-1}, {v.add(primitives::Unsqueeze{}, {v.unary(Unary::neg, odd), last}),
                                       v.add(primitives::Unsqueeze{}, {even, last})});
    turned = v.add(primitives::Reshape{}, {pairs, v.integers({0, 0, 0, width})});
  } else {
    const ValueId lower = slice(v, x, 0, width / 2), upper = slice(v, x, width / 2, INT64_MAX);
    turned = v.add(primitives::Concat{-1}, {v.unary(Unary::neg, upper), lower});
  }
  const ValueId cosines = table(v, dtype, width, neighbours), sines = table(v, dtype, width, neighbours);
  ValueId y = v.binary(Binary::add, v.binary(Binary::mul, x, cosines), v.binary(Binary::mul, turned, sines));
  if (is_partial) y = v.add(primitives::Concat{-1}, {y, slice(v, all, width, INT64_MAX)});
  v.graph.set_outputs({y});
}

namespace {

/// Rows of 16, of rank 1 to 4.
ValueId rows(Variant& v, DType dtype) {
  std::vector<Dim> shape{v.extent("batch", 2), v.extent("heads", 2), v.extent("seq", 3), 16};
  shape.erase(shape.begin(), shape.begin() + (v.chance(0.6) ? 1 : v.one_of<int>({0, 2, 3})));
  return v.input(dtype, shape);
}

/// A gain or bias, mostly [16].
ValueId vector(Variant& v, DType dtype, int64_t width = 16) {
  Shape shape(v.chance(0.7) ? 1 : v.one_of<size_t>({0, 2, 3, 4, 5}), 1);
  if (!shape.empty() && v.chance(0.9)) shape.back() = width;
  if (shape.size() > 1 && v.chance(0.2)) shape[shape.size() - 2] = 3;
  return v.constant(dtype, shape, v.numbers(element_count(shape)));
}

ValueId beside(Variant& v, Binary::Function function, ValueId x, ValueId other) {
  v.unite(x, other);
  return v.binary(function, x, other);
}

}  // namespace

void spell_norm(Variant& v) {
  ValueId x = rows(v, v.dtype());
  if (v.chance(0.5)) x = v.binary(Binary::add, x, x);
  const auto mean = [&](ValueId value) {
    return v.add(primitives::Reduce{primitives::Reduce::mean, v.chance(0.95)},
                 {value, v.integers({v.chance(0.95) ? -1 : -2})});
  };
  ValueId wide = v.wander(x);
  if (v.chance(0.5)) wide = v.binary(Binary::sub, wide, mean(v.chance(0.9) ? wide : v.wander(wide)));
  const DType dtype = v.dtype_of(wide);
  const ValueId square =
      v.chance(0.5) ? v.binary(Binary::mul, wide, wide) : v.add(Binary{Binary::power}, {wide, v.number(dtype, 2)});
  const ValueId spread = v.binary(Binary::add, mean(square), v.number(dtype, 1e-3F));
  ValueId normed;
  switch (v.one_of<int>({0, 1, 2, 3})) {
    case 0: normed = v.add(Binary{Binary::div}, {wide, v.unary(Unary::sqrt, spread)}); break;
    case 1: normed = v.binary(Binary::mul, wide, v.unary(Unary::reciprocal, v.unary(Unary::sqrt, spread))); break;
    case 2: {
      const ValueId root = v.unary(Unary::sqrt, spread);
      normed = v.binary(Binary::mul, wide, v.add(Binary{Binary::div}, {v.number(dtype, 1), root}));
      break;
    }
    default: normed = v.binary(Binary::mul, wide, v.add(Binary{Binary::power}, {spread, v.number(dtype, -0.5F)}));
  }
  normed = v.wander(normed);
  if (v.chance(0.8)) normed = beside(v, Binary::mul, normed, vector(v, v.chance(0.8) ? v.dtype_of(normed) : v.dtype()));
  normed = v.wander(normed);
  if (v.chance(0.5)) normed = beside(v, Binary::add, normed, vector(v, v.chance(0.8) ? v.dtype_of(normed) : v.dtype()));
  v.graph.set_outputs({normed});
}

void spell_activation(Variant& v) {
  const ValueId x = rows(v, v.dtype());
  const DType dtype = v.dtype_of(x);
  const auto number = [&](double value) { return v.number(dtype, static_cast<float>(value)); };
  if (v.chance(0.3)) return v.graph.set_outputs({v.binary(Binary::mul, x, v.unary(Unary::sigmoid, x))});
  ValueId bent;
  if (v.chance(0.5)) {
    bent = v.unary(Unary::erf, v.binary(Binary::div, x, number(std::sqrt(2.0))));
  } else {
    const ValueId cube = v.add(Binary{Binary::power}, {x, number(3)});
    const ValueId sum = v.binary(Binary::add, x, v.binary(Binary::mul, cube, number(0.044715)));
    bent = v.unary(Unary::tanh, v.binary(Binary::mul, sum, number(std::sqrt(2 / 3.14159265358979))));
  }
  const ValueId bell = v.binary(Binary::add, bent, number(1));
  const ValueId half = number(0.5);
  const ValueId y = v.one_of<bool>({true, false}) ? v.binary(Binary::mul, v.binary(Binary::mul, x, half), bell)
                                                  : v.binary(Binary::mul, v.binary(Binary::mul, x, bell), half);
  v.graph.set_outputs({y});
}

void spell_rows(Variant& v) {
  ValueId x = rows(v, v.dtype());
  const DType dtype = v.dtype_of(x);
  const auto product = [&](ValueId from, int64_t to) {
    return v.add(primitives::MatMul{}, {from, v.constant(dtype, {16, to}, v.numbers(16 * to))});
  };
  ValueId up = product(x, 16);
  if (v.chance(0.7)) up = v.binary(Binary::add, up, vector(v, dtype));
  ValueId gate =
      v.unary(v.one_of<Unary::Function>({Unary::relu, Unary::gelu_erf, Unary::gelu_tanh, Unary::tanh}), product(x, 16));
  if (v.chance(0.3)) gate = v.binary(Binary::mul, x, v.unary(Unary::sigmoid, x));
  ValueId y = v.binary(v.chance(0.7) ? Binary::mul : Binary::add, gate, v.chance(0.8) ? up : rows(v, dtype));
  if (v.chance(0.5)) y = v.binary(Binary::add, y, v.chance(0.8) ? x : rows(v, dtype));
  if (v.chance(0.5)) {
    const ValueId gain = v.constant(dtype, {16}, v.numbers(16)), bias = v.constant(dtype, {16}, v.numbers(16));
    y = v.add(primitives::LayerNormalization{-1, 1e-5F}, {y, gain, bias});
  }
  std::vector<ValueId> outputs{v.chance(0.5) ? product(y, 8) : y};
  if (v.chance(0.3)) outputs.push_back(up);
  v.graph.set_outputs(outputs);
}

}  // namespace incipit
