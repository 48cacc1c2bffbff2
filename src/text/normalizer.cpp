#include "text/normalizer.h"

#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "text/nfc.h"

namespace incipit {
namespace {

// Three times is what spaces that become U+2581, and composition, can do.
constexpr size_t growth_limit = 64;

std::string_view strip_left(std::string_view text) {
  while (!text.empty()) {
    const Utf8Unit unit = utf8_unit_at(text, 0);
    if (!is_white_space(unit.code_point)) break;
    text.remove_prefix(unit.size);
  }
  return text;
}

std::string_view strip_right(std::string_view text) {
  while (!text.empty()) {
    const uint32_t last = code_point_before(text, text.size());
    if (!is_white_space(last)) break;
    text.remove_suffix(last < 0x80 ? 1 : last < 0x800 ? 2 : 3);
  }
  return text;
}

}  // namespace

std::string replace_matches(const Regex& regex, std::string_view text, std::string_view content) {
  std::string result;
  while (!text.empty()) {
    const size_t valid = valid_utf8_prefix(text);
    for_each_span(regex, text.substr(0, valid), [&](TextRange span, bool matched) {
      result += matched ? content : text.substr(span.begin, span.end - span.begin);
    });
    text.remove_prefix(valid);
    if (text.empty()) break;
    const size_t broken = utf8_unit_at(text, 0).size;
    result += text.substr(0, broken);
    text.remove_prefix(broken);
  }
  return result;
}

std::string replace_literal(std::string_view text, std::string_view pattern, std::string_view content) {
  std::string result;
  result.reserve(text.size() + text.size() / 2);
  size_t position = 0;
  for (size_t found; (found = text.find(pattern, position)) != std::string_view::npos;) {
    result += text.substr(position, found - position);
    result += content;
    position = found + pattern.size();
  }
  result += text.substr(position);
  return result;
}

Normalizer::Normalizer(const std::vector<NormalizerStep>& steps, std::string_view thing) : thing_(thing) {
  for (const NormalizerStep& step : steps) {
    Step made{step, {}};
    if (step.kind == NormalizerStepKind::replace_pattern) made.regex.emplace(step.pattern, thing);
    steps_.push_back(std::move(made));
  }
}

bool Normalizer::leaves_alone(std::string_view text) const {
  for (const Step& step : steps_) {
    if (step.what.kind != NormalizerStepKind::nfc || !is_surely_nfc(text)) return false;
  }
  return true;
}

std::string Normalizer::normalize(std::string_view text, bool first) const {
  std::string result(text);
  for (const Step& step : steps_) {
    switch (step.what.kind) {
      case NormalizerStepKind::nfc:
        if (!is_surely_nfc(result)) result = to_nfc(result);
        break;
      case NormalizerStepKind::prepend:
      case NormalizerStepKind::prepend_first:
        if (!result.empty() && (first || step.what.kind == NormalizerStepKind::prepend)) {
          result.insert(0, step.what.content);
        }
        break;
      case NormalizerStepKind::replace: result = replace_literal(result, step.what.pattern, step.what.content); break;
      case NormalizerStepKind::replace_pattern: result = replace_matches(*step.regex, result, step.what.content); break;
      case NormalizerStepKind::strip_left: result = std::string(strip_left(result)); break;
      case NormalizerStepKind::strip_right: result = std::string(strip_right(result)); break;
    }
    if (result.size() > growth_limit * text.size() + growth_limit) {
      throw Error(thing_, "its normaliser makes a text too long", "take the model's own tokenizer files");
    }
  }
  return result;
}

}  // namespace incipit
