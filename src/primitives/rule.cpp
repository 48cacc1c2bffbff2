#include "primitives/rule.h"

#include <algorithm>

#include "base/error.h"

namespace incipit::primitives {

Rule::Rule(std::string_view op, std::span<const ValueType> inputs, size_t required) : op_(op), inputs_(inputs) {
  for (size_t i = 0; i < required; ++i) require(has(i), "input " + std::to_string(i) + " is missing");
  for (size_t i = 0; i < inputs.size(); ++i) require(!inputs[i].is_cache, "input " + std::to_string(i) + " is a cache");
}

const ValueType& Rule::type(size_t i) const {
  require(has(i), "input " + std::to_string(i) + " is missing");
  return inputs_[i];
}

const std::vector<Dim>* Rule::contents(size_t i) const {
  return has(i) && inputs_[i].contents ? &*inputs_[i].contents : nullptr;
}

std::optional<std::vector<int64_t>> Rule::numbers(size_t i) const {
  return has(i) ? known_integers(inputs_[i]) : std::nullopt;
}

size_t Rule::axis(int64_t axis, size_t rank) const {
  const auto signed_rank = static_cast<int64_t>(rank);
  require(axis >= -signed_rank && axis < signed_rank,
          "axis " + std::to_string(axis) + " is outside of a tensor of rank " + std::to_string(rank));
  return static_cast<size_t>(axis < 0 ? axis + signed_rank : axis);
}

void Rule::same_dtype(size_t i, size_t j) const {
  require(type(i).dtype == type(j).dtype, "inputs " + std::to_string(i) + " and " + std::to_string(j) + " are " +
                                              std::string(name_of(type(i).dtype)) + " and " +
                                              std::string(name_of(type(j).dtype)));
}

void Rule::integer_list(size_t i, bool may_be_scalar) const {
  const ValueType& list = type(i);
  require(list.dtype == DType::i32 || list.dtype == DType::i64,
          "input " + std::to_string(i) + " is " + std::string(name_of(list.dtype)) + ", not i64");
  require(list.shape.size() == 1 || (may_be_scalar && list.shape.empty()),
          "input " + std::to_string(i) + " is no list of numbers");
}

size_t Rule::list_length(size_t i) const {
  integer_list(i);
  const std::optional<int64_t> length = type(i).shape[0].try_constant();
  require(length.has_value(), "how many elements input " + std::to_string(i) + " has is not known in the build");
  require(*length <= static_cast<int64_t>(max_rank),
          "input " + std::to_string(i) + " has " + std::to_string(*length) + " elements, more than a tensor has axes");
  return static_cast<size_t>(*length);
}

void Rule::require(bool ok, const std::string& fault) const {
  if (!ok) throw Error(op_, fault);
}

void Rule::require_rank(size_t i, size_t rank) const {
  require(type(i).shape.size() == rank,
          "input " + std::to_string(i) + " is " + type(i).text() + ", not of rank " + std::to_string(rank));
}

void Rule::require_indices(size_t i) const {
  const DType dtype = type(i).dtype;
  require(dtype == DType::i32 || dtype == DType::i64,
          "input " + std::to_string(i) + " is " + std::string(name_of(dtype)) + ", which is no type of indices");
}

void Rule::require_one_element(size_t i) const {
  for (const Dim& extent : type(i).shape) {
    require(!extent.is_constant() || extent == Dim(1), "input " + std::to_string(i) + " is not one number");
  }
}

void Rule::same_float(std::initializer_list<size_t> inputs) const {
  require(is_floating(type(0).dtype), "takes floating inputs");
  for (const size_t i : inputs) {
    if (has(i)) same_dtype(i, 0);
  }
}

bool is_surely_at_least(const Dim& value, int64_t least) {
  for (const std::string& symbol : value.symbols()) {
    // The graph calls unknown extents "?12_0", and unknown contents otherwise.
    if (symbol.starts_with('?') && symbol.find_first_not_of("?0123456789_") != std::string::npos) return false;
  }
  return !value.is_unknown() && value.is_at_least(least);
}

Dim same_extent(const Rule& rule, const Dim& a, const Dim& b) {
  rule.require(!a.is_constant() || !b.is_constant() || a == b, "extents " + a.text() + " and " + b.text() + " differ");
  if (a.is_constant()) return a;
  if (b.is_constant() || a.is_unknown_symbol()) return b;
  return a;
}

namespace {
constexpr std::string_view minimum = "?min_";

/// True of smaller(number, other): never more than `other`, and no less where that is 1 or 0.
bool is_capped(const Dim& extent, const Dim& other) {
  const std::string name = extent.is_unknown_symbol() ? extent.text() : "";
  if (!name.starts_with(minimum)) return false;
  const size_t digits = name.find_first_not_of("0123456789", minimum.size());
  return digits != std::string::npos && digits > minimum.size() && name[digits] == '_' &&
         name.substr(digits + 1) == other.text();
}
}  // namespace

Dim smaller(int64_t number, const Dim& symbol) {
  const std::string name = symbol.text();
  if (number < 1 || symbol.is_constant() || name.starts_with('?') || symbol != Dim::symbol(name)) return Dim::unknown();
  return Dim::symbol(std::string(minimum) + std::to_string(number) + "_" + name);
}

std::vector<Dim> broadcast(const Rule& rule, const std::vector<Dim>& a, const std::vector<Dim>& b) {
  const size_t rank = std::max(a.size(), b.size());
  std::vector<Dim> shape(rank);
  for (size_t axis = 0; axis < rank; ++axis) {
    // Aligned at the end.
    const Dim left = axis + a.size() < rank ? Dim(1) : a[axis + a.size() - rank];
    const Dim right = axis + b.size() < rank ? Dim(1) : b[axis + b.size() - rank];
    if (left == right || right == Dim(1)) {
      shape[axis] = left;
    } else if (left == Dim(1)) {
      shape[axis] = right;
    } else if (is_capped(right, left) || is_capped(left, right)) {
      // As much of a table as there are tokens, and the tokens: were it less, they would not broadcast.
      shape[axis] = is_capped(right, left) ? left : right;
    } else if (left.is_constant() || right.is_constant()) {
      rule.require(!left.is_constant() || !right.is_constant(),
                   "extents " + left.text() + " and " + right.text() + " do not broadcast");
      shape[axis] = left.is_constant() ? left : right;
    } else {
      shape[axis] = Dim::unknown();
    }
  }
  return shape;
}

void give_contents(ValueType& type, std::vector<Dim> contents) {
  const bool is_integer = type.dtype == DType::i32 || type.dtype == DType::i64 || type.dtype == DType::boolean;
  const auto count = static_cast<int64_t>(contents.size());
  if (!is_integer || type.shape.size() > 1 || count > ValueType::max_contents) return;
  if (type.shape.empty() ? count != 1 : type.shape[0] != Dim(count)) return;
  type.contents = std::move(contents);
}

namespace {
constexpr size_t longest_product = 1024;  // characters
}

Dim product(const std::vector<Dim>& shape, size_t first, size_t end) {
  Dim total = 1;
  for (size_t axis = first; axis < end; ++axis) {
    total = total * shape[axis];
    // Products of sums of products could grow without end.
    if (total.text().size() > longest_product) return Dim::unknown();
  }
  return total;
}

std::vector<Dim> product_shape(const Rule& rule) {
  std::vector<Dim> a = rule.type(0).shape, b = rule.type(1).shape;
  rule.require(!a.empty() && !b.empty(), "takes no scalars");
  const bool is_row = a.size() == 1, is_column = b.size() == 1;
  if (is_row) a.insert(a.begin(), 1);
  if (is_column) b.emplace_back(1);
  same_extent(rule, a.back(), b[b.size() - 2]);
  std::vector<Dim> shape = broadcast(rule, {a.begin(), a.end() - 2}, {b.begin(), b.end() - 2});
  if (!is_row) shape.push_back(a[a.size() - 2]);
  if (!is_column) shape.push_back(b.back());
  return shape;
}

void keep_contents(const Rule& rule, ValueType& type) {
  if (rule.contents(0) != nullptr) give_contents(type, *rule.contents(0));
}

std::optional<std::vector<bool>> listed_axes(const Rule& rule, size_t i, size_t rank) {
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

std::vector<Dim> unknown_shape(size_t rank) { return std::vector<Dim>(rank, Dim::unknown()); }

void broadcasts_to(const Rule& rule, size_t i, const std::vector<Dim>& shape) {
  const std::vector<Dim>& own = rule.type(i).shape;
  rule.require(own.size() <= shape.size(), "input " + std::to_string(i) + " has too many axes");
  for (size_t k = 1; k <= own.size(); ++k) {
    if (own[own.size() - k] != Dim(1)) same_extent(rule, shape[shape.size() - k], own[own.size() - k]);
  }
}

}  // namespace incipit::primitives
