// The text form of a kernel problem: one line serves the plan in the engine, the key of the tuning cache,
// `incipit inspect`, and the names of tests and benchmarks.
//
//   linear n=1024 k=2816 format=bf16 input=bf16 output=f32 bias=0 residual=1 activation=none
//
// A problem is a plain struct with `static constexpr std::string_view family` and a `fields` function that shows
// each field, by name and in a fixed order, to a visitor. Integers print as decimals, enumerations by name,
// floats as shortest round-trip decimals.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/enumeration.h"
#include "base/weight_format.h"

namespace incipit {

/// Writes fields into text.
class ProblemWriter {
 public:
  explicit ProblemWriter(std::string_view family) : text_(family) {}
  void operator()(std::string_view name, const int32_t& value);
  void operator()(std::string_view name, const bool& value);
  void operator()(std::string_view name, const float& value);
  void operator()(std::string_view name, const WeightFormat& value);
  template <Enumeration E>
  void operator()(std::string_view name, const E& value) {
    field(name, name_of(value));
  }
  std::string take() { return std::move(text_); }

 private:
  void field(std::string_view name, std::string_view value);
  std::string text_;
};

/// Reads fields back, strictly: the family, the names and their order must be the ones expected.
class ProblemReader {
 public:
  /// Throws Error naming `text` when the family differs.
  ProblemReader(std::string_view family, std::string_view text);
  void operator()(std::string_view name, int32_t& value);
  void operator()(std::string_view name, bool& value);
  void operator()(std::string_view name, float& value);
  void operator()(std::string_view name, WeightFormat& value);
  template <Enumeration E>
  void operator()(std::string_view name, E& value) {
    const std::string_view word = field(name);
    const std::optional<E> found = find_value<E>(word);
    if (!found) fail(name, word);
    value = *found;
  }
  /// Whether a field of that name follows: some are left out where they say nothing.
  bool is_next(std::string_view name) const;
  /// Throws Error when fields are left over.
  void finish() const;

 private:
  std::string_view field(std::string_view name);
  [[noreturn]] void fail(std::string_view name, std::string_view value) const;
  std::string_view text_;
  std::string_view rest_;
};

/// The family's name at the start of a problem's text.
std::string_view family_of(std::string_view problem_text);

template <typename P>
std::string to_text(const P& problem) {
  ProblemWriter writer(P::family);
  const_cast<P&>(problem).fields(writer);
  return writer.take();
}

template <typename P>
P problem_from_text(std::string_view text) {
  P problem;
  ProblemReader reader(P::family, text);
  problem.fields(reader);
  reader.finish();
  return problem;
}

}  // namespace incipit
