// A dimension: an integer polynomial over named symbols, such as `past + seq` or `2*T`.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace incipit {

/// Kept in canonical form (terms sorted, no zero coefficient), so that equality of polynomials is equality of values.
class Dim {
 public:
  Dim() = default;        // 0
  Dim(int64_t constant);  // NOLINT: a number is a dimension
  static Dim symbol(std::string_view name);
  /// Parses what text() prints. Throws Error.
  static Dim parse(std::string_view text);
  /// An extent that nothing is known of. A shape rule returns it bare; the graph replaces it by a symbol of the value's
  /// own, which begins with '?'.
  static Dim unknown() { return symbol("?"); }
  bool is_unknown() const;
  /// A lone symbol that begins with '?': an extent that does not follow from those of the graph's inputs.
  bool is_unknown_symbol() const;

  bool is_constant() const;
  /// The number; asserts is_constant().
  int64_t constant() const;
  std::optional<int64_t> try_constant() const;
  std::string text() const;
  /// Replaces symbols by numbers; a symbol without one is an Error.
  int64_t evaluate(const std::map<std::string, int64_t>& symbols) const;

  Dim operator+(const Dim& other) const;
  Dim operator-(const Dim& other) const;
  Dim operator*(const Dim& other) const;
  /// The quotient where it is a polynomial too and leaves no remainder, else nothing; nothing also for a zero divisor.
  std::optional<Dim> divided_by(const Dim& other) const;
  /// True when this is at least `least` whatever its symbols are, which are extents: 0 or more.
  bool is_at_least(int64_t least) const;
  bool operator==(const Dim& other) const = default;
  /// The names of its symbols, each once.
  std::vector<std::string> symbols() const;

 private:
  using Monomial = std::vector<std::string>;  // sorted symbols, repeated for powers; empty: the constant term
  std::map<Monomial, int64_t> terms_;
};

}  // namespace incipit
