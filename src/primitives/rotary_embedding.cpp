#include "primitives/rotary_embedding.h"

#include <string>

#include "primitives/broadcast.h"
#include "primitives/broadcast_strides.h"
#include "primitives/carrier.h"
#include "primitives/rule.h"

namespace incipit::primitives {
namespace {

/// Rows of cosines or sines for x's, wherever they repeat.
struct Table {
  const Tensor& wide;
  std::vector<int64_t> strides;
  template <typename T>
  const T* row(int64_t b, int64_t h, int64_t s) const {
    return wide.as<T>().data() + b * strides[0] + h * strides[1] + s * strides[2];
  }
};

Outputs turn_spelled_out(const Tensor& x, const Tensor& cosines, const Tensor& sines, bool interleaved) {
  const std::string_view op = RotaryEmbedding::op_name;
  const Shape& shape = x.shape();
  const int64_t width = shape[3], turned = cosines.shape().empty() ? 0 : cosines.shape().back(), pairs = turned / 2;
  const Shape places{shape[0], shape[1], shape[2], turned};
  for (const Tensor* table : {&cosines, &sines}) {
    if (table->shape().empty() || table->shape().back() != turned || turned % 2 != 0 || turned > width ||
        broadcast_shape(op, table->shape(), places) != places) {
      throw Error(op, "takes cos and sin for the elements that it turns, which broadcast to x");
    }
  }
  Tensor x_storage, cos_storage, sin_storage;
  const Tensor& wide = widened(x, x_storage);
  const Table cosine_table{widened(cosines, cos_storage), broadcast_strides(cosines.shape(), 4)};
  const Table sine_table{widened(sines, sin_storage), broadcast_strides(sines.shape(), 4)};
  Tensor y = copy_of(wide);
  const auto run = [&]<typename T>(T) {
    T* line = y.as<T>().data();
    const int64_t step = interleaved ? 2 : 1, other = interleaved ? 1 : pairs;
    for (int64_t row = 0; row < shape[0] * shape[1] * shape[2]; ++row, line += width) {
      const int64_t b = row / shape[2] / shape[1], h = row / shape[2] % shape[1], s = row % shape[2];
      const T* const c = cosine_table.row<T>(b, h, s);
      const T* const w = sine_table.row<T>(b, h, s);
      for (int64_t i = 0; i < pairs; ++i) {
        const int64_t at = i * step, beside = at + other;
        const T first = line[at], second = line[beside];
        line[at] = first * c[at] - second * w[at];
        line[beside] = first * w[beside] + second * c[beside];
      }
    }
  };
  if (y.elements() > 0) wide.dtype() == DType::f64 ? run(double{}) : run(float{});
  return one_output(narrowed(std::move(y), x.dtype()));
}

}  // namespace

Outputs RotaryEmbedding::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  const Tensor& cosines = required_input(op_name, inputs, 1);
  const Tensor& sines = required_input(op_name, inputs, 2);
  const Tensor* const position = optional_input(inputs, 3);
  with_float_type(op_name, x.dtype(), [](auto) {});
  if (cosines.dtype() != x.dtype() || sines.dtype() != x.dtype())
    throw Error(op_name, "takes x, cos and sin of one type");
  const Shape& shape = x.shape();
  const Shape& table = cosines.shape();
  if (shape.size() != 4) throw Error(op_name, "takes x of rank 4");
  if (spelled_out) {
    if (position != nullptr) throw Error(op_name, "takes no positions where it is spelled out");
    return turn_spelled_out(x, cosines, sines, interleaved);
  }
  if (table != sines.shape() || table.size() != (position != nullptr ? 2 : 3)) {
    throw Error(op_name, "takes cos and sin of one shape, of rank 2 with positions and 3 without");
  }
  const int64_t batch = shape[0], heads = shape[1], length = shape[2], width = shape[3], pairs = table.back();
  if (pairs > width / 2)
    throw Error(op_name, "turns " + std::to_string(pairs) + " pairs of heads of " + std::to_string(width));
  const Shape& places = position != nullptr ? position->shape() : table;
  if (places.size() < 2 || (places[0] != 1 && places[0] != batch) || places[1] != length ||
      (position != nullptr && places.size() != 2)) {
    throw Error(op_name, "takes a position for each of x's rows");
  }
  std::vector<int64_t> rows;
  if (position != nullptr) {
    if (position->dtype() != DType::i64) throw Error(op_name, "takes positions of i64");
    rows = integers(*position);
    for (const int64_t row : rows) {
      if (row < 0 || row >= table[0]) {
        throw Error(op_name,
                    "position " + std::to_string(row) + " is outside of a table of " + std::to_string(table[0]));
      }
    }
  } else {
    for (int64_t row = 0; row < places[0] * length; ++row) rows.push_back(row);
  }
  Tensor x_storage, cos_storage, sin_storage;
  const Tensor& wide = widened(x, x_storage);
  const Tensor& wide_cosines = widened(cosines, cos_storage);
  const Tensor& wide_sines = widened(sines, sin_storage);
  Tensor y = copy_of(wide);
  const auto run = [&]<typename T>(T) {
    T* line = y.as<T>().data();
    const int64_t step = interleaved ? 2 : 1, other = interleaved ? 1 : pairs;
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t h = 0; h < heads; ++h) {
        for (int64_t s = 0; s < length; ++s, line += width) {
          const int64_t row = rows[static_cast<size_t>((places[0] == 1 ? 0 : b) * length + s)] * pairs;
          const T* const c = wide_cosines.as<T>().data() + row;
          const T* const w = wide_sines.as<T>().data() + row;
          for (int64_t i = 0; i < pairs; ++i) {
            const T first = line[i * step], second = line[i * step + other];
            line[i * step] = first * c[i] - second * w[i];
            line[i * step + other] = first * w[i] + second * c[i];
          }
        }
      }
    }
  };
  if (y.elements() > 0 && pairs > 0) wide.dtype() == DType::f64 ? run(double{}) : run(float{});
  return one_output(narrowed(std::move(y), x.dtype()));
}

OutputTypes RotaryEmbedding::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 3);
  rule.same_float({1, 2});
  const bool has_positions = rule.has(3);
  rule.require_rank(0, 4);
  const std::vector<Dim>& x = rule.type(0).shape;
  if (spelled_out) {
    rule.require(!has_positions, "takes no positions where it is spelled out");
    for (const size_t i : {size_t{1}, size_t{2}}) {
      rule.require(!rule.type(i).shape.empty(), "takes cos and sin for the elements that it turns");
      const Dim turned = same_extent(rule, rule.type(1).shape.back(), rule.type(i).shape.back());
      const std::optional<int64_t> count = turned.try_constant(), width = x[3].try_constant();
      rule.require(!count || (*count % 2 == 0 && (!width || *count <= *width)), "turns no pairs of its elements");
      broadcasts_to(rule, i, {x[0], x[1], x[2], turned});
    }
    return {{rule.type(0).dtype, x}};
  }
  for (const size_t i : {size_t{1}, size_t{2}}) rule.require_rank(i, has_positions ? 2 : 3);
  for (size_t axis = 0; axis < rule.type(1).shape.size(); ++axis) {
    same_extent(rule, rule.type(1).shape[axis], rule.type(2).shape[axis]);
  }
  const std::optional<int64_t> width = x[3].try_constant(), pairs = rule.type(1).shape.back().try_constant();
  rule.require(!width || !pairs || *pairs <= *width / 2, "turns more pairs than its heads have");
  if (has_positions) {
    rule.require(rule.type(3).dtype == DType::i64, "takes positions of i64");
    rule.require_rank(3, 2);
  }
  const std::vector<Dim>& places = rule.type(has_positions ? 3 : 1).shape;
  if (places[0] != Dim(1)) same_extent(rule, x[0], places[0]);
  same_extent(rule, x[2], places[1]);
  return {{rule.type(0).dtype, x}};
}

}  // namespace incipit::primitives
