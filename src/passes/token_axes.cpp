#include "passes/token_axes.h"

#include <algorithm>

#include "base/error.h"

namespace incipit {
namespace {

bool is_one(const Dim& extent) { return extent == Dim(1); }

}  // namespace

TokenAxes TokenAxes::of_ids(const Dim& batch, const Dim& seq) {
  TokenAxes axes;
  axes.batch_ = batch;
  axes.seq_ = seq;
  // A batch of one is no axis that anything could be mixed over.
  axes.axes_ = {{is_one(batch) ? Kind::one : Kind::batch, batch}, {Kind::seq, seq}};
  return axes;
}

TokenAxes TokenAxes::with_axes(std::vector<Axis> axes) const {
  TokenAxes result = *this;
  result.axes_ = std::move(axes);
  return result;
}

int64_t TokenAxes::extent(size_t axis) const {
  INCIPIT_ASSERT(kind(axis) == Kind::feature);
  return axes_[axis].extent.constant();
}

std::vector<int64_t> TokenAxes::features() const {
  std::vector<int64_t> extents;
  for (const Axis& axis : axes_) {
    if (axis.lies_within_token()) extents.push_back(axis.of_token());
  }
  return extents;
}

int64_t TokenAxes::width() const {
  int64_t product = 1;
  for (const int64_t extent : features()) product *= extent;
  return product;
}

bool TokenAxes::same_rows(const TokenAxes& other) const {
  const auto significant = [](const TokenAxes& all) {
    std::vector<Axis> kept;
    for (const Axis& axis : all.axes_) {
      if (axis.kind != Kind::one) kept.push_back(axis);
    }
    return kept;
  };
  return significant(*this) == significant(other);
}

TokenAxes TokenAxes::with_feature(int64_t extent) const {
  std::vector<Axis> axes = axes_;
  axes.push_back({Kind::feature, extent});
  return with_axes(std::move(axes));
}

TokenAxes TokenAxes::with_extent(size_t axis, int64_t extent) const {
  INCIPIT_ASSERT(kind(axis) == Kind::feature);
  std::vector<Axis> axes = axes_;
  axes[axis].extent = extent;
  return with_axes(std::move(axes));
}

TokenAxes TokenAxes::without(size_t axis) const {
  std::vector<Axis> axes = axes_;
  axes.erase(axes.begin() + static_cast<ptrdiff_t>(axis));
  return with_axes(std::move(axes));
}

TokenAxes TokenAxes::with_past(size_t axis, const Dim& extent) const {
  std::vector<Axis> axes = axes_;
  axes.at(axis).extent = extent;
  return with_axes(std::move(axes));
}

TokenAxes TokenAxes::last_only(size_t axis) const {
  std::vector<Axis> axes = axes_;
  axes.at(axis) = {Kind::one, 1};
  return with_axes(std::move(axes));
}

int64_t TokenAxes::parts_joined(const std::vector<Axis>& axes, size_t from, const std::vector<Dim>& shape, size_t to) {
  if (axes[from].kind != Kind::seq || from + 1 == axes.size() || axes[from + 1].kind != Kind::feature) return 0;
  // What is left of a token within the new axes.
  int64_t whole = 1, part = 1;
  for (size_t i = from + 1; i < axes.size(); ++i) whole *= axes[i].of_token();
  for (size_t i = to + 1; i < shape.size(); ++i) {
    if (!shape[i].is_constant() || shape[i].constant() < 1 || shape[i].constant() > whole) return 0;
    part *= shape[i].constant();
    if (part > whole) return 0;
  }
  const int64_t parts = whole / part;
  const bool fits = whole % part == 0 && axes[from + 1].extent.constant() % parts == 0;
  return fits && shape[to] == axes[from].extent * Dim(parts) ? parts : 0;
}

std::optional<TokenAxes> TokenAxes::reshaped(const std::vector<Dim>& shape) const {
  std::vector<Axis> made, axes = axes_;
  size_t from = 0, to = 0;
  while (to < shape.size()) {
    while (from < axes.size() && (axes[from].kind == Kind::one || is_one(axes[from].extent))) ++from;
    if (is_one(shape[to])) {
      made.push_back({Kind::one, 1});
      ++to;
      continue;
    }
    if (from == axes.size()) return std::nullopt;
    const Axis& axis = axes[from];
    if (axis.kind == Kind::batch && from + 1 < axes.size() && axes[from + 1].kind == Kind::seq &&
        shape[to] == axis.extent * axes[from + 1].extent) {
      made.push_back({Kind::token, shape[to]});
      from += 2;
      ++to;
    } else if (axis.kind == Kind::token && to + 1 < shape.size() && shape[to] == batch_ &&
               shape[to] * shape[to + 1] == axis.extent) {
      made.push_back({Kind::batch, shape[to]});
      made.push_back({Kind::seq, shape[to + 1]});
      ++from;
      to += 2;
    } else if (axis.kind == Kind::parts && shape[to] == seq_) {
      made.push_back({Kind::seq, seq_});
      axes[from] = {Kind::feature, axis.parts};
      ++to;
    } else if (const int64_t parts = parts_joined(axes, from, shape, to); parts > 1) {
      made.push_back({Kind::parts, shape[to], parts});
      axes[from + 1].extent = axes[from + 1].extent.constant() / parts;
      ++from;
      ++to;
    } else if (axis.kind != Kind::feature) {
      if (shape[to] != axis.extent) return std::nullopt;
      made.push_back(axis);
      ++from;
      ++to;
    } else {
      // As many features on both sides as have the same product.
      int64_t before = 1, after = 1;
      do {
        if (before <= after && from < axes.size() && axes[from].kind == Kind::feature) {
          before *= axes[from++].extent.constant();
        } else if (after <= before && to < shape.size() && shape[to].is_constant() && shape[to].constant() > 0) {
          after *= shape[to].constant();
          made.push_back({is_one(shape[to]) ? Kind::one : Kind::feature, shape[to]});
          ++to;
        } else {
          return std::nullopt;
        }
      } while (before != after);
    }
  }
  while (from < axes.size() && (axes[from].kind == Kind::one || is_one(axes[from].extent))) ++from;
  return from == axes.size() ? std::optional(with_axes(std::move(made))) : std::nullopt;
}

std::optional<TokenAxes> TokenAxes::transposed(const std::vector<int64_t>& order) const {
  if (order.size() != axes_.size()) return std::nullopt;
  std::vector<Axis> moved;
  int64_t last_feature = -1;
  for (const int64_t axis : order) {
    moved.push_back(axes_.at(static_cast<size_t>(axis)));
    if (!moved.back().lies_within_token()) continue;
    if (axis < last_feature) return std::nullopt;
    last_feature = axis;
  }
  return with_axes(std::move(moved));
}

RowBlocks TokenAxes::columns(size_t axis, int64_t start, int64_t count) const {
  int64_t outer = 1, inner = 1;
  for (size_t i = 0; i < axes_.size(); ++i) {
    if (i != axis) (i < axis ? outer : inner) *= axes_[i].of_token();
  }
  return {start * inner, count * inner, extent(axis) * inner, outer};
}

}  // namespace incipit
