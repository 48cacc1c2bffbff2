#include "import/onnx/dimension_names.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/ascii.h"
#include "base/error.h"

namespace incipit::onnx {
namespace {

constexpr size_t longest_expression = 200;  // characters: the terms of a polynomial are kept whole

bool is_letter(char c) { return is_ascii_letter(c) || c == '_'; }

std::optional<Dim> expression(std::string_view text) {
  // '?' begins symbols of the graph's own.
  if (text.size() > longest_expression || text.find('?') != std::string_view::npos) return std::nullopt;
  try {
    const Dim dim = Dim::parse(text);
    if (dim.is_constant() && dim.constant() < 0) return std::nullopt;
    return dim;
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::string symbol_of(std::string_view text) {
  std::string symbol(text.substr(0, longest_expression));
  for (char& c : symbol) {
    if (!is_letter(c) && !is_ascii_digit(c)) c = '_';
  }
  if (symbol.empty() || is_ascii_digit(symbol.front())) symbol.insert(symbol.begin(), '_');
  return symbol;
}

}  // namespace

Dim DimensionNames::dimension(const std::string& text) {
  if (const auto found = known_.find(text); found != known_.end()) return found->second;
  std::optional<Dim> dim = expression(text);
  if (dim) {
    for (const std::string& symbol : dim->symbols()) taken_.insert(symbol);
  } else {
    std::string symbol = symbol_of(text);
    while (taken_.contains(symbol)) symbol += '_';
    taken_.insert(symbol);
    dim = Dim::symbol(symbol);
  }
  return known_.emplace(text, *dim).first->second;
}

}  // namespace incipit::onnx
