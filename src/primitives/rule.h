// What the shape rules of primitives have in common.
#pragma once

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "primitives/value_type.h"

namespace incipit::primitives {

/// Checks of a primitive's inputs; each throws Error naming the op.
class Rule {
 public:
  /// Inputs 0 … required − 1 must be there.
  Rule(std::string_view op, std::span<const ValueType> inputs, size_t required);

  bool has(size_t i) const { return i < inputs_.size() && !inputs_[i].is_absent; }
  size_t count() const { return inputs_.size(); }
  /// A tensor that is there.
  const ValueType& type(size_t i) const;
  /// What input i is known to hold, where it is there and known.
  const std::vector<Dim>* contents(size_t i) const;
  /// The same where all of it is numbers.
  std::optional<std::vector<int64_t>> numbers(size_t i) const;
  /// An axis of input i, or of a tensor of that rank, brought into 0 … rank − 1.
  size_t axis(int64_t axis, size_t rank) const;
  void same_dtype(size_t i, size_t j) const;
  /// Input i is a list of axes, sizes or indices: i32 or i64 and of rank 1 (or, where `may_be_scalar`, 0).
  void integer_list(size_t i, bool may_be_scalar = false) const;
  /// How many elements the list in input i has, which decides a rank and must be known in the build.
  size_t list_length(size_t i) const;
  void require(bool ok, const std::string& fault) const;
  void require_rank(size_t i, size_t rank) const;
  /// Input i is i32 or i64.
  void require_indices(size_t i) const;
  /// A single number, of any shape that has one element.
  void require_one_element(size_t i) const;
  /// Input 0 is floating, and those of these inputs that are there are of its dtype.
  void same_float(std::initializer_list<size_t> inputs) const;

 private:
  std::string_view op_;
  std::span<const ValueType> inputs_;
};

/// True when what a tensor holds is at least that, whatever the symbols are: extents are never negative, but a symbol
/// for a value that nothing is known of may be anything.
bool is_surely_at_least(const Dim& value, int64_t least);
/// An extent that must equal both: whichever is known; throws where they differ as numbers.
Dim same_extent(const Rule& rule, const Dim& a, const Dim& b);
/// The smaller of a number above 0 and a lone symbol of the inputs': a symbol of its own, "?min_128_seq", which is the
/// same wherever it occurs. Of anything else unknown.
Dim smaller(int64_t number, const Dim& symbol);
/// The extents of two tensors that broadcast against one another (NumPy's rule). Where neither is known to be 1 and
/// they are not known to be equal, the result is unknown.
std::vector<Dim> broadcast(const Rule& rule, const std::vector<Dim>& a, const std::vector<Dim>& b);
/// A small integer tensor: rank 0 or 1 and of as many elements as `contents` has, when they are not too many.
void give_contents(ValueType& type, std::vector<Dim> contents);
/// The same elements as input 0's in another shape hold the same.
void keep_contents(const Rule& rule, ValueType& type);
/// Input i broadcasts to that shape: no larger extent, no more axes.
void broadcasts_to(const Rule& rule, size_t i, const std::vector<Dim>& shape);
/// For each axis whether it is among those that input i lists, where that is known.
std::optional<std::vector<bool>> listed_axes(const Rule& rule, size_t i, size_t rank);
std::vector<Dim> unknown_shape(size_t rank);
/// The most axes that a tensor may have.
constexpr size_t max_rank = 64;
/// The product of extents from `first` up to `end`; unknown where it would be absurdly long.
Dim product(const std::vector<Dim>& shape, size_t first, size_t end);

/// The shape of a product of inputs 0 and 1, [..., m, k] · [..., k, n] or vectors of k, as NumPy's matmul has it.
std::vector<Dim> product_shape(const Rule& rule);

}  // namespace incipit::primitives
