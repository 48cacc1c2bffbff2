#include "session/generation_defaults.h"

#include <boost/json.hpp>
#include <cstdint>
#include <string_view>

#include "base/json.h"

namespace incipit {
namespace {

float number_or(const boost::json::object& object, std::string_view name, float otherwise) {
  const boost::json::value* value = object.if_contains(name);
  return value != nullptr && value->is_number() ? value->to_number<float>() : otherwise;
}

}  // namespace

SamplingParameters generation_defaults(const Engine& engine) {
  SamplingParameters sampling;
  if (engine.generation_defaults().empty()) return sampling;
  const boost::json::value parsed =
      parse_json(engine.generation_defaults(), engine.path().string() + ": generation defaults");
  const boost::json::object* defaults = parsed.if_object();
  if (defaults == nullptr) return sampling;
  sampling.repetition_penalty = number_or(*defaults, "repetition_penalty", 1);
  const boost::json::value* draws = defaults->if_contains("do_sample");
  if (draws == nullptr || !draws->is_bool() || !draws->get_bool()) return sampling;  // Transformers' default: greedy
  sampling.temperature = number_or(*defaults, "temperature", 1);
  // A float that is no int32 would be undefined as one; whatever is that large means all.
  const float top_k = number_or(*defaults, "top_k", 0);
  sampling.top_k = top_k >= 0 && top_k < 1e9f ? static_cast<int32_t>(top_k) : 0;
  sampling.top_p = number_or(*defaults, "top_p", 1);
  sampling.min_p = number_or(*defaults, "min_p", 0);
  return sampling;
}

}  // namespace incipit
