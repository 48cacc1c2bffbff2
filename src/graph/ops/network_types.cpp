// Shape rules of products, norms and attention.
#include <algorithm>
#include <map>

#include "graph/ops/primitive.h"
#include "graph/ops/primitive_rule.h"

namespace incipit::ops {
namespace {

void require_rank(const PrimitiveRule& rule, size_t i, size_t rank) {
  rule.require(rule.type(i).shape.size() == rank,
               "input " + std::to_string(i) + " is " + rule.type(i).text() + ", not of rank " + std::to_string(rank));
}

/// Input i, where it is there, is of the floating dtype of input 0.
void same_float(const PrimitiveRule& rule, std::initializer_list<size_t> inputs) {
  rule.require(is_floating(rule.type(0).dtype), "takes floating inputs");
  for (const size_t i : inputs) {
    if (rule.has(i)) rule.same_dtype(i, 0);
  }
}

/// Broadcasts to that shape: no larger extent, no more axes.
void broadcasts_to(const PrimitiveRule& rule, size_t i, const std::vector<Dim>& shape) {
  const std::vector<Dim>& own = rule.type(i).shape;
  rule.require(own.size() <= shape.size(), "input " + std::to_string(i) + " has too many axes");
  for (size_t k = 1; k <= own.size(); ++k) {
    if (own[own.size() - k] != Dim(1)) same_extent(rule, shape[shape.size() - k], own[own.size() - k]);
  }
}

/// Extents of a row that `heads` share: those of one of them.
Dim of_head(const PrimitiveRule& rule, const Dim& row, int64_t heads) {
  const std::optional<Dim> width = row.divided_by(heads);
  rule.require(width.has_value() || !row.is_constant(),
               "rows of " + row.text() + " cannot be shared by " + std::to_string(heads) + " heads");
  return width.value_or(Dim::unknown());
}

}  // namespace

OutputTypes infer_types(const primitives::MatMul& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  rule.same_dtype(0, 1);
  rule.require(rule.type(0).dtype != DType::boolean, "multiplies no elements of type bool");
  return {{rule.type(0).dtype, product_shape(rule)}};
}

OutputTypes infer_types(const primitives::Einsum& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, std::max<size_t>(1, inputs.size()));
  std::vector<size_t> ranks;
  for (size_t i = 0; i < rule.count(); ++i) {
    rule.same_dtype(i, 0);
    ranks.push_back(rule.type(i).shape.size());
  }
  rule.require(rule.type(0).dtype != DType::boolean, "multiplies no elements of type bool");
  const primitives::EinsumAxes axes = primitives::einsum_axes(op.equation, ranks);
  std::map<int, Dim> extents;
  for (size_t i = 0; i < rule.count(); ++i) {
    for (size_t axis = 0; axis < ranks[i]; ++axis) {
      const Dim& extent = rule.type(i).shape[axis];
      Dim& known = extents.try_emplace(axes.inputs[i][axis], extent).first->second;
      known = broadcast(rule, {known}, {extent}).front();
    }
  }
  ValueType result{rule.type(0).dtype, {}};
  for (const int axis : axes.output) result.shape.push_back(extents.at(axis));
  return {result};
}

OutputTypes infer_types(const primitives::Softmax& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  same_float(rule, {});
  rule.axis(op.axis, rule.type(0).shape.size());
  return {{rule.type(0).dtype, rule.type(0).shape}};
}

OutputTypes infer_types(const primitives::LayerNormalization& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  same_float(rule, {1, 2});
  const DType stash = op.stash;
  rule.require(is_floating(stash), "makes no statistics of type " + std::string(name_of(stash)));
  const std::vector<Dim>& shape = rule.type(0).shape;
  std::vector<Dim> reduced = shape;
  for (size_t axis = rule.axis(op.axis, shape.size()); axis < shape.size(); ++axis) reduced[axis] = 1;
  broadcasts_to(rule, 1, shape);
  if (rule.has(2)) broadcasts_to(rule, 2, shape);
  return {{rule.type(0).dtype, shape}, {stash, reduced}, {stash, reduced}};
}

OutputTypes infer_types(const primitives::RmsNormalization& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  same_float(rule, {});
  const DType scale = rule.type(1).dtype;
  rule.require(is_floating(scale), "takes a floating scale");
  rule.require((scale == DType::f64) == (rule.type(0).dtype == DType::f64),
               "takes a scale of f64 with x of f64, and no other");
  const std::vector<Dim>& shape = rule.type(0).shape;
  rule.axis(op.axis, shape.size());
  broadcasts_to(rule, 1, shape);
  return {{scale, shape}};
}

OutputTypes infer_types(const primitives::RotaryEmbedding& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 3);
  same_float(rule, {1, 2});
  const bool has_positions = rule.has(3);
  require_rank(rule, 0, 4);
  const std::vector<Dim>& x = rule.type(0).shape;
  if (op.spelled_out) {
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
  for (const size_t i : {size_t{1}, size_t{2}}) require_rank(rule, i, has_positions ? 2 : 3);
  for (size_t axis = 0; axis < rule.type(1).shape.size(); ++axis) {
    same_extent(rule, rule.type(1).shape[axis], rule.type(2).shape[axis]);
  }
  const std::optional<int64_t> width = x[3].try_constant(), pairs = rule.type(1).shape.back().try_constant();
  rule.require(!width || !pairs || *pairs <= *width / 2, "turns more pairs than its heads have");
  if (has_positions) {
    rule.require(rule.type(3).dtype == DType::i64, "takes positions of i64");
    require_rank(rule, 3, 2);
  }
  const std::vector<Dim>& places = rule.type(has_positions ? 3 : 1).shape;
  if (places[0] != Dim(1)) same_extent(rule, x[0], places[0]);
  same_extent(rule, x[2], places[1]);
  return {{rule.type(0).dtype, x}};
}

OutputTypes infer_types(const primitives::Sdpa& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 3);
  op.check_attributes();
  same_float(rule, {1, 2});
  for (const size_t i : {size_t{0}, size_t{1}, size_t{2}}) require_rank(rule, i, 4);
  const std::vector<Dim>&q = rule.type(0).shape, &k = rule.type(1).shape, &v = rule.type(2).shape;
  const Dim batch = same_extent(rule, same_extent(rule, q[0], k[0]), v[0]);
  const Dim kv_heads = same_extent(rule, k[1], v[1]), keys = same_extent(rule, k[2], v[2]);
  same_extent(rule, q[3], k[3]);
  const std::optional<int64_t> heads = q[1].try_constant(), groups = kv_heads.try_constant();
  rule.require(!heads || !groups || *heads == 0 || (*groups > 0 && *heads % *groups == 0),
               q[1].text() + " query heads cannot share " + kv_heads.text() + " of keys");
  const std::vector<Dim> scores{batch, q[1], q[2], keys};
  if (rule.has(3)) {
    const DType mask = rule.type(3).dtype;
    rule.require(mask == DType::boolean || is_floating(mask), "takes a mask of bool or floating");
    if (mask == DType::f64 || rule.type(0).dtype == DType::f64) {
      rule.require(mask == DType::boolean || mask == rule.type(0).dtype, "takes a mask of f64 with q of f64");
    }
    broadcasts_to(rule, 3, scores);
  }
  for (const size_t i : {size_t{4}, size_t{5}}) {
    if (!rule.has(i)) continue;
    rule.require(rule.type(i).dtype == DType::i64 && rule.type(i).shape.size() <= 1,
                 "takes positions and lengths as i64, one or one for each sequence");
    if (!rule.type(i).shape.empty() && rule.type(i).shape[0] != Dim(1)) same_extent(rule, batch, rule.type(i).shape[0]);
  }
  OutputTypes types{{rule.type(0).dtype, {batch, q[1], q[2], v[3]}}};
  if (op.scores != op.none) types.push_back({rule.type(0).dtype, scores});
  return types;
}

OutputTypes infer_types(const primitives::LinearAttention& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 3);
  op.check_attributes();
  for (size_t i = 0; i < rule.count(); ++i) {
    if (!rule.has(i)) continue;
    rule.require(is_floating(rule.type(i).dtype), "takes floating inputs");
    require_rank(rule, i, i == 3 ? 4 : 3);
  }
  rule.require(rule.has(4) == op.is_gated(), "takes a decay with a gated rule, and with no other");
  rule.require(rule.has(5) == op.is_delta(), "takes beta with a delta rule, and with no other");
  const std::vector<Dim>&q = rule.type(0).shape, &k = rule.type(1).shape, &v = rule.type(2).shape;
  const Dim batch = same_extent(rule, same_extent(rule, q[0], k[0]), v[0]);
  const Dim tokens = same_extent(rule, same_extent(rule, q[1], k[1]), v[1]);
  const Dim width = same_extent(rule, of_head(rule, q[2], op.q_heads), of_head(rule, k[2], op.kv_heads));
  const Dim value_width = of_head(rule, v[2], op.kv_heads);
  const ValueType state{rule.has(3) ? rule.type(3).dtype : rule.type(0).dtype,
                        {batch, op.kv_heads, width, value_width}};
  if (rule.has(3)) {
    for (size_t axis = 0; axis < 4; ++axis) same_extent(rule, rule.type(3).shape[axis], state.shape[axis]);
  }
  const Dim row = value_width.is_unknown() ? Dim::unknown() : value_width * Dim(op.q_heads);
  return {{rule.type(0).dtype, {batch, tokens, row}}, state};
}

OutputTypes infer_types(const primitives::CausalConv& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  same_float(rule, {1, 2, 3});
  require_rank(rule, 0, 3);
  require_rank(rule, 1, 3);
  const std::vector<Dim>&x = rule.type(0).shape, &weight = rule.type(1).shape;
  const Dim channels = same_extent(rule, x[1], weight[0]);
  same_extent(rule, weight[1], 1);
  rule.require(weight[2] != Dim(0), "has a weight of no elements");
  const Dim before = weight[2].is_unknown() ? Dim::unknown() : weight[2] - Dim(1);
  const std::vector<Dim> state{x[0], channels, before};
  if (rule.has(2)) {
    require_rank(rule, 2, 1);
    same_extent(rule, channels, rule.type(2).shape[0]);
  }
  if (rule.has(3)) {
    require_rank(rule, 3, 3);
    for (size_t axis = 0; axis < 3; ++axis) same_extent(rule, rule.type(3).shape[axis], state[axis]);
  }
  return {{rule.type(0).dtype, {x[0], channels, x[2]}}, {rule.type(0).dtype, state}};
}

}  // namespace incipit::ops
