#include "kernels/problem.h"

#include <charconv>
#include <cmath>

#include "base/error.h"

namespace incipit {

void ProblemWriter::field(std::string_view name, std::string_view value) {
  text_ += ' ';
  text_ += name;
  text_ += '=';
  text_ += value;
}

void ProblemWriter::operator()(std::string_view name, const int32_t& value) { field(name, std::to_string(value)); }
void ProblemWriter::operator()(std::string_view name, const bool& value) { field(name, value ? "1" : "0"); }
void ProblemWriter::operator()(std::string_view name, const WeightFormat& value) { field(name, to_text(value)); }

void ProblemWriter::operator()(std::string_view name, const float& value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  field(name, {text, static_cast<size_t>(end - text)});
}

ProblemReader::ProblemReader(std::string_view family, std::string_view text) : text_(text), rest_(text) {
  if (family_of(text) != family) {
    throw Error("kernel problem '" + std::string(text) + "'", "does not belong to family '" + std::string(family) + "'",
                "build the engine or the tuning cache again");
  }
  rest_.remove_prefix(family.size());
}

std::string_view ProblemReader::field(std::string_view name) {
  // Each field is exactly " name=value".
  const size_t prefix = name.size() + 2;
  if (!is_next(name)) {
    throw Error("kernel problem '" + std::string(text_) + "'",
                "field '" + std::string(name) + "' is not where it should be",
                "build the engine or the tuning cache again");
  }
  rest_.remove_prefix(prefix);
  const std::string_view value = rest_.substr(0, rest_.find(' '));
  rest_.remove_prefix(value.size());
  return value;
}

bool ProblemReader::is_next(std::string_view name) const {
  return rest_.size() > name.size() + 1 && rest_[0] == ' ' && rest_.substr(1, name.size()) == name &&
         rest_[name.size() + 1] == '=';
}

void ProblemReader::fail(std::string_view name, std::string_view value) const {
  throw Error("kernel problem '" + std::string(text_) + "'",
              "field '" + std::string(name) + "' has the bad value '" + std::string(value) + "'",
              "build the engine or the tuning cache again");
}

void ProblemReader::operator()(std::string_view name, int32_t& value) {
  const std::string_view found = field(name);
  const auto [end, error] = std::from_chars(found.data(), found.data() + found.size(), value);
  if (error != std::errc() || end != found.data() + found.size()) fail(name, found);
}

void ProblemReader::operator()(std::string_view name, bool& value) {
  const std::string_view found = field(name);
  if (found != "0" && found != "1") fail(name, found);
  value = found == "1";
}

void ProblemReader::operator()(std::string_view name, float& value) {
  const std::string_view found = field(name);
  const auto [end, error] = std::from_chars(found.data(), found.data() + found.size(), value);
  if (error != std::errc() || end != found.data() + found.size() || !std::isfinite(value)) fail(name, found);
}

void ProblemReader::operator()(std::string_view name, WeightFormat& value) {
  const std::string_view found = field(name);
  const auto format = weight_format_from_text(found);
  if (!format) fail(name, found);
  value = *format;
}

void ProblemReader::finish() const {
  if (!rest_.empty()) {
    throw Error("kernel problem '" + std::string(text_) + "'",
                "has more after its last field: '" + std::string(rest_) + "'",
                "build the engine or the tuning cache again");
  }
}

std::string_view family_of(std::string_view problem_text) { return problem_text.substr(0, problem_text.find(' ')); }

}  // namespace incipit
