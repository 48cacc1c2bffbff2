// Shape rules of the primitives that only move elements.
#include <algorithm>
#include <numeric>

#include "graph/ops/primitive.h"
#include "graph/ops/primitive_rule.h"

namespace incipit::ops {
namespace {

std::vector<Dim> unknown_shape(size_t rank) { return std::vector<Dim>(rank, Dim::unknown()); }

// The same elements in another shape hold the same.
void keep_contents(const PrimitiveRule& rule, ValueType& type) {
  if (rule.contents(0) != nullptr) give_contents(type, *rule.contents(0));
}

// For each axis whether it is among those that input i lists, where that is known.
std::optional<std::vector<bool>> listed_axes(const PrimitiveRule& rule, size_t i, size_t rank) {
  const std::optional<std::vector<int64_t>> listed = rule.numbers(i);
  if (!listed) return std::nullopt;
  std::vector<bool> chosen(rank, false);
  for (const int64_t given : *listed) {
    const size_t axis = rule.axis(given, rank);
    rule.require(!chosen[axis], "axis " + std::to_string(given) + " is named twice");
    chosen[axis] = true;
  }
  return chosen;
}

}  // namespace

OutputTypes infer_types(const primitives::Concat& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  ValueType joined{rule.type(0).dtype, rule.type(0).shape};
  const size_t along = rule.axis(op.axis, joined.shape.size());
  joined.shape[along] = 0;
  std::optional<std::vector<Dim>> contents(std::in_place);
  for (size_t i = 0; i < rule.count(); ++i) {
    const ValueType& part = rule.type(i);
    rule.same_dtype(i, 0);
    rule.require(part.shape.size() == joined.shape.size(), "input " + std::to_string(i) + " has another rank");
    for (size_t axis = 0; axis < part.shape.size(); ++axis) {
      joined.shape[axis] = axis == along ? joined.shape[axis] + part.shape[axis]
                                         : same_extent(rule, joined.shape[axis], part.shape[axis]);
    }
    if (contents && rule.contents(i) != nullptr) {
      contents->insert(contents->end(), rule.contents(i)->begin(), rule.contents(i)->end());
    } else {
      contents.reset();
    }
  }
  if (contents) give_contents(joined, std::move(*contents));
  return {joined};
}

OutputTypes infer_types(const primitives::ShapeOf& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  const std::vector<Dim>& shape = rule.type(0).shape;
  const auto [first, last] = op.axes(shape.size());
  ValueType extents{DType::i64, {static_cast<int64_t>(last - first)}};
  give_contents(extents, {shape.begin() + static_cast<ptrdiff_t>(first), shape.begin() + static_cast<ptrdiff_t>(last)});
  return {extents};
}

OutputTypes infer_types(const primitives::Size& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  const std::vector<Dim>& shape = rule.type(0).shape;
  ValueType size{DType::i64, {}};
  give_contents(size, {product(shape, 0, shape.size())});
  return {size};
}

namespace {

// What is left of `elements` when the others are divided by. Equal factors are taken out first, for a quotient of
// polynomials need not be found by dividing.
Dim extent_left(std::vector<Dim> elements, std::vector<Dim> others) {
  for (auto other = others.begin(); other != others.end();) {
    const auto same = std::find(elements.begin(), elements.end(), *other);
    if (same == elements.end() || *other == Dim(0)) {
      ++other;
    } else {
      elements.erase(same);
      other = others.erase(other);
    }
  }
  const Dim dividend = product(elements, 0, elements.size()), divisor = product(others, 0, others.size());
  if (dividend.is_unknown() || divisor.is_unknown()) return Dim::unknown();
  return dividend.divided_by(divisor).value_or(Dim::unknown());
}

}  // namespace

OutputTypes infer_types(const primitives::Reshape& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  const ValueType& data = rule.type(0);
  ValueType result{data.dtype, unknown_shape(rule.list_length(1))};
  const std::vector<Dim>* target = rule.contents(1);
  std::optional<size_t> left;
  size_t unknowns = 0;
  std::vector<Dim> others;
  for (size_t axis = 0; axis < result.shape.size(); ++axis) {
    Dim& extent = result.shape[axis];
    if (target != nullptr) {
      const Dim& asked = (*target)[axis];
      if (asked == Dim(-1)) {
        rule.require(!left, "more than one extent is -1");
        left = axis;
        continue;
      }
      if (asked == Dim(0) && !op.allowzero) {
        rule.require(axis < data.shape.size(), "extent 0 stands for an axis that the input does not have");
        extent = data.shape[axis];
      } else {
        rule.require(!asked.is_constant() || asked.constant() >= 0, "extent " + asked.text() + " is negative");
        // (A symbol that turns out to be 0 copies an extent, too. Where that leaves a tensor at all, it is an empty one
        // of other extents than these, and refused.)
        if (is_surely_at_least(asked, 0)) extent = asked;
      }
    }
    others.push_back(extent);
    if (extent.is_unknown()) ++unknowns;
  }
  // Where one extent alone is not known, it follows from the others.
  if (left && unknowns == 0) result.shape[*left] = extent_left(data.shape, others);
  if (!left && unknowns == 1) {
    const auto unknown = std::find(result.shape.begin(), result.shape.end(), Dim::unknown());
    others.erase(std::find(others.begin(), others.end(), Dim::unknown()));
    if (product(others, 0, others.size()).is_at_least(1)) *unknown = extent_left(data.shape, others);
  }
  const Dim elements = product(data.shape, 0, data.shape.size());
  const Dim made = product(result.shape, 0, result.shape.size());
  rule.require(!elements.is_constant() || !made.is_constant() || elements == made,
               elements.text() + " elements do not fit a shape of " + made.text());
  keep_contents(rule, result);
  return {result};
}

OutputTypes infer_types(const primitives::Flatten& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  const ValueType& data = rule.type(0);
  const size_t at = op.normal(data.shape.size());
  return {{data.dtype, {product(data.shape, 0, at), product(data.shape, at, data.shape.size())}}};
}

OutputTypes infer_types(const primitives::Squeeze& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  const ValueType& data = rule.type(0);
  const size_t rank = data.shape.size();
  ValueType result{data.dtype, {}};
  std::optional<std::vector<bool>> gone(std::in_place, rank, false);
  if (rule.has(1)) {
    const size_t count = rule.list_length(1);
    rule.require(count <= rank, "more axes are taken away than there are");
    gone = listed_axes(rule, 1, rank);
    if (!gone) return {{data.dtype, unknown_shape(rank - count)}};
  }
  for (size_t axis = 0; axis < rank; ++axis) {
    const Dim& extent = data.shape[axis];
    // Without a list, an extent that is not known in the build must not be 1: then the result would lack an axis more
    // than its type says, and the run ends with an Error.
    if (!rule.has(1)) (*gone)[axis] = extent == Dim(1);
    if (!(*gone)[axis]) {
      result.shape.push_back(extent);
    } else {
      rule.require(!extent.is_constant() || extent == Dim(1),
                   "axis " + std::to_string(axis) + " has extent " + extent.text() + ", not 1");
    }
  }
  keep_contents(rule, result);
  return {result};
}

OutputTypes infer_types(const primitives::Unsqueeze& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  const ValueType& data = rule.type(0);
  const size_t rank = data.shape.size() + rule.list_length(1);
  rule.require(rank <= max_rank, "the result has " + std::to_string(rank) + " axes");
  const std::optional<std::vector<bool>> added = listed_axes(rule, 1, rank);
  if (!added) return {{data.dtype, unknown_shape(rank)}};
  ValueType result{data.dtype, {}};
  size_t next = 0;
  for (const bool is_new : *added) result.shape.push_back(is_new ? Dim(1) : data.shape[next++]);
  keep_contents(rule, result);
  return {result};
}

OutputTypes infer_types(const primitives::Transpose& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  const ValueType& data = rule.type(0);
  ValueType result{data.dtype, {}};
  for (const size_t axis : op.axes(data.shape.size())) result.shape.push_back(data.shape[axis]);
  keep_contents(rule, result);
  return {result};
}

OutputTypes infer_types(const primitives::Expand& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  const ValueType& data = rule.type(0);
  const size_t length = rule.list_length(1);
  const std::vector<Dim>* target = rule.contents(1);
  for (size_t i = 0; target != nullptr && i < length; ++i) {
    const Dim& extent = (*target)[i];
    rule.require(!extent.is_constant() || extent.constant() >= 0, "extent " + extent.text() + " is negative");
  }
  ValueType result{data.dtype, broadcast(rule, data.shape, target != nullptr ? *target : unknown_shape(length))};
  const std::vector<Dim>* contents = rule.contents(0);
  if (contents != nullptr && contents->size() == 1 && result.shape.size() == 1 && result.shape[0].is_constant() &&
      result.shape[0].constant() <= ValueType::max_contents) {
    give_contents(result, std::vector<Dim>(static_cast<size_t>(result.shape[0].constant()), contents->front()));
  } else {
    keep_contents(rule, result);
  }
  return {result};
}

OutputTypes infer_types(const primitives::Tile& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  const ValueType& data = rule.type(0);
  ValueType result{data.dtype, unknown_shape(data.shape.size())};
  rule.integer_list(1);
  same_extent(rule, rule.type(1).shape[0], static_cast<int64_t>(data.shape.size()));
  if (const std::vector<Dim>* repeats = rule.contents(1)) {
    for (size_t axis = 0; axis < data.shape.size(); ++axis) {
      const Dim& times = (*repeats)[axis];
      rule.require(!times.is_constant() || times.constant() >= 0, "repeats of " + times.text() + " are negative");
      if (is_surely_at_least(times, 0)) result.shape[axis] = product({data.shape[axis], times}, 0, 2);
    }
  }
  return {result};
}

OutputTypes infer_types(const primitives::Split& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  const ValueType& data = rule.type(0);
  const size_t along = rule.axis(op.axis, data.shape.size());
  const Dim& extent = data.shape[along];
  rule.require(op.num_outputs >= 1 && op.num_outputs <= op.max_outputs,
               std::to_string(op.num_outputs) + " is no number of outputs");
  const auto count = static_cast<size_t>(op.num_outputs);
  std::vector<Dim> sizes(count, Dim::unknown());
  if (rule.has(1)) {
    rule.integer_list(1);
    same_extent(rule, rule.type(1).shape[0], op.num_outputs);
    if (rule.contents(1) != nullptr) {
      Dim total = 0;
      for (size_t i = 0; i < count; ++i) {
        const Dim& size = (*rule.contents(1))[i];
        rule.require(!size.is_constant() || size.constant() >= 0, "a part of " + size.text() + " is negative");
        if (is_surely_at_least(size, 0)) sizes[i] = size;
        total = total + size;
      }
      rule.require(!total.is_constant() || !extent.is_constant() || total == extent,
                   "parts of " + total.text() + " together are cut from an axis of " + extent.text());
    }
  } else if (extent.is_constant()) {
    const std::vector<int64_t> parts = primitives::equal_parts(extent.constant(), op.num_outputs);
    sizes.assign(parts.begin(), parts.end());
  } else if (const std::optional<Dim> part = extent.divided_by(op.num_outputs)) {
    sizes.assign(count, *part);
  }
  OutputTypes parts;
  const std::vector<Dim>* contents = rule.contents(0);
  size_t first = 0;
  for (const Dim& size : sizes) {
    ValueType part{data.dtype, data.shape};
    part.shape[along] = size;
    if (contents != nullptr && size.is_constant() &&
        static_cast<uint64_t>(size.constant()) <= contents->size() - first) {
      const auto begin = contents->begin() + static_cast<ptrdiff_t>(first);
      give_contents(part, {begin, begin + static_cast<ptrdiff_t>(size.constant())});
      first += static_cast<size_t>(size.constant());
    } else {
      contents = nullptr;
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

namespace {

// A bound of a slice with a positive step, brought into 0 … extent; nothing where it is not known how the two lie.
std::optional<Dim> slice_bound(const Dim& at, const Dim& extent) {
  // Exporters write the largest number of 32 bits for "to the end"; no axis is that long.
  if (at.is_constant() && at.constant() >= INT32_MAX) return extent;
  if (at.is_constant() && at.constant() <= -INT32_MAX) return 0;
  if (at.is_constant() && extent.is_constant()) {
    return primitives::slice_range(extent.constant(), at.constant(), extent.constant(), 1).first;
  }
  if (is_surely_at_least(at, 0)) {
    if (is_surely_at_least(extent - at, 0)) return at;
    if (is_surely_at_least(at - extent, 0)) return extent;
  } else if (is_surely_at_least(Dim(0) - at, 1)) {
    if (is_surely_at_least(extent + at, 0)) return extent + at;
    if (is_surely_at_least(Dim(0) - extent - at, 0)) return 0;
  }
  return std::nullopt;
}

Dim slice_extent(const Dim& extent, const Dim& start, const Dim& end, int64_t step) {
  if (extent.is_constant() && start.is_constant() && end.is_constant()) {
    return primitives::slice_range(extent.constant(), start.constant(), end.constant(), step).count;
  }
  if (step < 0) {
    // All of it, backwards.
    const bool from_last = start == Dim(-1) || (start.is_constant() && start.constant() >= INT32_MAX);
    const bool to_first = end.is_constant() && end.constant() <= -INT32_MAX;
    return step == -1 && from_last && to_first ? extent : Dim::unknown();
  }
  const std::optional<Dim> first = slice_bound(start, extent), last = slice_bound(end, extent);
  const bool is_beginning = first == Dim(0) && step == 1 && is_surely_at_least(end, 0);
  if (!last && is_beginning && extent.is_constant()) return smaller(extent.constant(), end);
  if (!first || !last) return Dim::unknown();
  const Dim length = *last - *first;
  if (is_surely_at_least(Dim(0) - length, 0)) return 0;
  if (!is_surely_at_least(length, 0)) return Dim::unknown();
  if (const std::optional<Dim> count = length.divided_by(step)) return *count;
  return (length + Dim(step) - Dim(1)).divided_by(step).value_or(Dim::unknown());
}

}  // namespace

OutputTypes infer_types(const primitives::Slice& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 3);
  const ValueType& data = rule.type(0);
  const size_t rank = data.shape.size(), count = rule.list_length(1);
  for (size_t i = 2; i <= 4; ++i) {
    rule.require(!rule.has(i) || rule.list_length(i) == count, "starts, ends, axes and steps are not as many");
  }
  std::optional<std::vector<int64_t>> axes(std::in_place, count), steps(std::in_place, count, 1);
  std::iota(axes->begin(), axes->end(), 0);
  if (rule.has(3)) axes = rule.numbers(3);
  if (rule.has(4)) steps = rule.numbers(4);
  if (!axes) return {{data.dtype, unknown_shape(rank)}};
  ValueType result{data.dtype, data.shape};
  std::vector<bool> seen(rank, false);
  const std::vector<Dim>*starts = rule.contents(1), *ends = rule.contents(2);
  for (size_t i = 0; i < count; ++i) {
    const size_t axis = rule.axis((*axes)[i], rank);
    rule.require(!seen[axis], "axis " + std::to_string(axis) + " is named twice");
    seen[axis] = true;
    rule.require(!steps || (*steps)[i] != 0, "a step is 0");
    const bool is_known = starts != nullptr && ends != nullptr && steps;
    result.shape[axis] =
        is_known ? slice_extent(data.shape[axis], (*starts)[i], (*ends)[i], (*steps)[i]) : Dim::unknown();
  }
  const std::optional<std::vector<int64_t>> from = rule.numbers(1), to = rule.numbers(2);
  if (const std::vector<Dim>* contents = rule.contents(0); contents != nullptr && rank == 1 && from && to && steps) {
    std::vector<Dim> taken = *contents;
    if (count == 1) {
      const auto extent = static_cast<int64_t>(contents->size());
      const primitives::SliceRange range = primitives::slice_range(extent, (*from)[0], (*to)[0], (*steps)[0]);
      taken.clear();
      for (int64_t i = 0; i < range.count; ++i) {
        taken.push_back((*contents)[static_cast<size_t>(range.first + i * range.step)]);
      }
    }
    give_contents(result, std::move(taken));
  }
  return {result};
}

OutputTypes infer_types(const primitives::Pad& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 2);
  const ValueType& data = rule.type(0);
  const size_t rank = data.shape.size();
  rule.integer_list(1);
  if (rule.has(2)) rule.same_dtype(2, 0);
  std::optional<std::vector<int64_t>> axes(std::in_place, rank);
  std::iota(axes->begin(), axes->end(), 0);
  Dim count = static_cast<int64_t>(rank);
  if (rule.has(3)) {
    rule.integer_list(3);
    axes = rule.numbers(3);
    count = rule.type(3).shape[0];
  }
  same_extent(rule, rule.type(1).shape[0], count * Dim(2));
  ValueType result{data.dtype, unknown_shape(rank)};
  if (!axes) return {result};
  const std::vector<Dim>* pads = rule.contents(1);
  result.shape = data.shape;
  for (size_t i = 0; i < axes->size(); ++i) {
    const size_t axis = rule.axis((*axes)[i], rank);
    Dim padded = Dim::unknown();
    if (pads != nullptr) {
      padded = data.shape[axis] + (*pads)[i] + (*pads)[i + axes->size()];
      rule.require(!padded.is_constant() || padded.constant() >= 0,
                   "more is taken from axis " + std::to_string(axis) + " than it has");
      if (!is_surely_at_least(padded, 0)) padded = Dim::unknown();
    }
    result.shape[axis] = padded;
  }
  return {result};
}

OutputTypes infer_types(const primitives::Trilu& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  const ValueType& data = rule.type(0);
  rule.require(data.shape.size() >= 2, "its input is no matrix");
  if (rule.has(1)) rule.integer_list(1, true);
  return {{data.dtype, data.shape}};
}

OutputTypes infer_types(const primitives::EyeLike& op, InputTypes inputs) {
  const PrimitiveRule rule(op.op_name, inputs, 1);
  const ValueType& like = rule.type(0);
  rule.require(like.shape.size() == 2, "its input is no matrix");
  return {{op.dtype, like.shape}};
}

}  // namespace incipit::ops
