// What the axes of a value [batch, seq, …] are to a decoder: which count tokens, and which lie within one.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "graph/constant.h"
#include "primitives/dim.h"

namespace incipit {

class TokenAxes {
 public:
  enum class Kind : uint8_t {
    one,      // extent 1
    batch,    // sequences
    seq,      // tokens of a sequence
    token,    // batch and seq in one
    parts,    // seq and equal parts of each token in one, as heads that are normed
    feature,  // within a token
  };

  /// [batch, seq].
  static TokenAxes of_ids(const Dim& batch, const Dim& seq);

  size_t rank() const { return axes_.size(); }
  Kind kind(size_t axis) const { return axes_.at(axis).kind; }
  /// Of a feature.
  int64_t extent(size_t axis) const;
  /// The extents within a token, in their order.
  std::vector<int64_t> features() const;
  /// Their product.
  int64_t width() const;
  /// The same tokens and features, whatever axes of one stand between them.
  bool same_rows(const TokenAxes& other) const;

  TokenAxes with_feature(int64_t extent) const;
  TokenAxes with_extent(size_t axis, int64_t extent) const;
  TokenAxes without(size_t axis) const;
  /// The axis of seq holds earlier tokens too, in all `extent`.
  TokenAxes with_past(size_t axis, const Dim& extent) const;
  /// Only the last token is left of the axis of seq.
  TokenAxes last_only(size_t axis) const;

  /// What the axes are in another shape of the same elements in the same order; nothing where tokens would mix.
  std::optional<TokenAxes> reshaped(const std::vector<Dim>& shape) const;
  /// The same with axes in another order; nothing where features change places.
  std::optional<TokenAxes> transposed(const std::vector<int64_t>& order) const;

  /// The columns that [start, start + count) of a feature axis are in a token's row.
  RowBlocks columns(size_t axis, int64_t start, int64_t count) const;

 private:
  struct Axis {
    Kind kind;
    Dim extent;
    int64_t parts = 1;  // of a token, where the axis counts those
    /// Elements of one token along it.
    int64_t of_token() const { return kind == Kind::feature ? extent.constant() : parts; }
    bool lies_within_token() const { return kind == Kind::feature || kind == Kind::parts; }
    bool operator==(const Axis&) const = default;
  };
  TokenAxes with_axes(std::vector<Axis> axes) const;
  /// How many parts of each token shape[to] counts besides the tokens of axes[from]; below 2 where it does not.
  static int64_t parts_joined(const std::vector<Axis>& axes, size_t from, const std::vector<Dim>& shape, size_t to);
  Dim batch_, seq_;
  std::vector<Axis> axes_;
};

}  // namespace incipit
