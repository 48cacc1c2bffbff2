#include "primitives/dim.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/ascii.h"
#include "base/error.h"

namespace incipit {
namespace {

[[noreturn]] void overflow() { throw Error("dimension", "a coefficient overflows 64 bits"); }

int64_t add(int64_t a, int64_t b) {
  int64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) overflow();
  return sum;
}

int64_t multiply(int64_t a, int64_t b) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product)) overflow();
  return product;
}

// A model could ask for polynomials that no memory holds, by multiplying them with themselves again and again.
constexpr size_t most_terms = 4096, highest_degree = 64;

bool is_letter(char c) { return is_ascii_letter(c) || c == '_' || c == '?'; }

// sum := ['-'] product (('+' | '-') product)*;  product := factor ('*' factor)*;  factor := digits | symbol
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Dim sum() {
    Dim total;
    bool negative = take('-');
    for (;;) {
      const Dim term = product();
      total = negative ? total - term : total + term;
      if (take('+')) {
        negative = false;
      } else if (take('-')) {
        negative = true;
      } else {
        break;
      }
    }
    skip_spaces();
    if (at_ != text_.size()) fail();
    return total;
  }

 private:
  Dim product() {
    Dim result = factor();
    while (take('*')) result = result * factor();
    return result;
  }

  Dim factor() {
    skip_spaces();
    const size_t start = at_;
    if (at_ < text_.size() && is_ascii_digit(text_[at_])) {
      int64_t number = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), number);
      if (error != std::errc()) fail();
      at_ = static_cast<size_t>(end - text_.data());
      return number;
    }
    while (at_ < text_.size() && (is_letter(text_[at_]) || (at_ > start && is_ascii_digit(text_[at_])))) ++at_;
    if (at_ == start) fail();
    return Dim::symbol(text_.substr(start, at_ - start));
  }

  bool take(char wanted) {
    skip_spaces();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  [[noreturn]] void fail() const {
    throw Error("dimension '" + std::string(text_) + "'",
                "is no sum of products of numbers and symbols (at character " + std::to_string(at_ + 1) + ")",
                "write it like 2*T + 1");
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Dim::Dim(int64_t constant) {
  if (constant != 0) terms_[{}] = constant;
}

Dim Dim::symbol(std::string_view name) {
  INCIPIT_ASSERT(!name.empty());
  Dim dim;
  dim.terms_[{std::string(name)}] = 1;
  return dim;
}

Dim Dim::parse(std::string_view text) { return Parser(text).sum(); }

bool Dim::is_constant() const { return terms_.empty() || (terms_.size() == 1 && terms_.begin()->first.empty()); }

int64_t Dim::constant() const {
  INCIPIT_ASSERT(is_constant());
  return terms_.empty() ? 0 : terms_.begin()->second;
}

std::optional<int64_t> Dim::try_constant() const {
  if (!is_constant()) return std::nullopt;
  return constant();
}

std::string Dim::text() const {
  if (terms_.empty()) return "0";
  std::string text;
  const auto print = [&](const Monomial& symbols, int64_t coefficient) {
    // The magnitude of the most negative number is not an int64_t.
    const uint64_t magnitude =
        coefficient < 0 ? uint64_t{0} - static_cast<uint64_t>(coefficient) : static_cast<uint64_t>(coefficient);
    if (text.empty()) {
      if (coefficient < 0) text += "-";
    } else {
      text += coefficient < 0 ? " - " : " + ";
    }
    if (magnitude != 1 || symbols.empty()) {
      text += std::to_string(magnitude);
      if (!symbols.empty()) text += "*";
    }
    for (size_t i = 0; i < symbols.size(); ++i) text += (i == 0 ? "" : "*") + symbols[i];
  };
  for (const auto& [symbols, coefficient] : terms_) {
    if (!symbols.empty()) print(symbols, coefficient);
  }
  if (const auto constant_term = terms_.find({}); constant_term != terms_.end()) print({}, constant_term->second);
  return text;
}

int64_t Dim::evaluate(const std::map<std::string, int64_t>& symbols) const {
  int64_t total = 0;
  for (const auto& [monomial, coefficient] : terms_) {
    int64_t product = coefficient;
    for (const std::string& name : monomial) {
      const auto found = symbols.find(name);
      if (found == symbols.end()) throw Error("dimension '" + text() + "'", "symbol " + name + " has no value");
      product = multiply(product, found->second);
    }
    total = add(total, product);
  }
  return total;
}

Dim Dim::operator+(const Dim& other) const {
  Dim result = *this;
  for (const auto& [symbols, coefficient] : other.terms_) {
    int64_t& term = result.terms_[symbols];
    term = add(term, coefficient);
    if (term == 0) result.terms_.erase(symbols);
  }
  return result;
}

Dim Dim::operator-(const Dim& other) const { return *this + other * Dim(-1); }

Dim Dim::operator*(const Dim& other) const {
  Dim result;
  const auto check = [](bool fits) {
    if (!fits) throw Error("dimension", "is too long a polynomial");
  };
  check(terms_.empty() || other.terms_.size() <= most_terms / terms_.size());
  for (const auto& [left, a] : terms_) {
    for (const auto& [right, b] : other.terms_) {
      check(left.size() + right.size() <= highest_degree);
      Monomial symbols(left.size() + right.size());
      std::merge(left.begin(), left.end(), right.begin(), right.end(), symbols.begin());
      int64_t& term = result.terms_[symbols];
      term = add(term, multiply(a, b));
      if (term == 0) result.terms_.erase(symbols);
    }
  }
  return result;
}

bool Dim::is_unknown() const { return *this == unknown(); }

bool Dim::is_unknown_symbol() const {
  return terms_.size() == 1 && terms_.begin()->second == 1 && terms_.begin()->first.size() == 1 &&
         terms_.begin()->first.front().starts_with('?');
}

std::optional<Dim> Dim::divided_by(const Dim& other) const {
  if (other.terms_.empty()) return std::nullopt;
  // The terms' own order is not kept by products (T comes after S*T, but 1 before S): leading is the highest degree.
  const auto leading = [](const Dim& dim) {
    return *std::max_element(dim.terms_.begin(), dim.terms_.end(), [](const auto& a, const auto& b) {
      return a.first.size() != b.first.size() ? a.first.size() < b.first.size() : a.first < b.first;
    });
  };
  // Division by the leading term, as long as there is a rest; its leading terms fall, so it ends. Not always soon: a
  // quotient that is longer than any shape needs is given up.
  constexpr int most_terms = 100;
  const auto [divisor, divisor_coefficient] = leading(other);
  Dim rest = *this, quotient;
  for (int terms = 0; !rest.terms_.empty(); ++terms) {
    const auto [monomial, coefficient] = leading(rest);
    if (terms == most_terms || !std::includes(monomial.begin(), monomial.end(), divisor.begin(), divisor.end())) {
      return std::nullopt;
    }
    if (divisor_coefficient == -1 ? coefficient == INT64_MIN : coefficient % divisor_coefficient != 0) {
      return std::nullopt;
    }
    Dim term;
    Monomial left;
    std::set_difference(monomial.begin(), monomial.end(), divisor.begin(), divisor.end(), std::back_inserter(left));
    term.terms_[left] = coefficient / divisor_coefficient;
    quotient = quotient + term;
    rest = rest - term * other;
  }
  return quotient;
}

bool Dim::is_at_least(int64_t least) const {
  int64_t constant_term = 0;
  for (const auto& [symbols, coefficient] : terms_) {
    if (symbols.empty()) {
      constant_term = coefficient;
    } else if (coefficient < 0) {
      return false;
    }
  }
  return constant_term >= least;
}

std::vector<std::string> Dim::symbols() const {
  std::vector<std::string> found;
  for (const auto& [symbols, coefficient] : terms_) found.insert(found.end(), symbols.begin(), symbols.end());
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace incipit
