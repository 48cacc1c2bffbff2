#include "openai/field_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <string>

#include "base/json.h"
#include "openai/bad_request.h"

namespace incipit {
namespace {

/// Whether a value says no more than the default. Numbers are compared as such: 1.0 is 1.
bool is_neutral(const FieldRule& rule, const boost::json::value& field) {
  if (rule.neutral.empty()) return false;
  const boost::json::value all = parse_json(rule.neutral, rule.key);
  return std::ranges::any_of(all.get_array(), [&](const boost::json::value& neutral) {
    return neutral == field ||
           (neutral.is_number() && field.is_number() && neutral.to_number<double>() == field.to_number<double>());
  });
}

}  // namespace

std::span<const FieldRule> field_rules() {
  using enum FieldTreatment;
  using enum FieldPlace;
  static constexpr FieldRule rules[] = {
      {"model", honoured},
      {"messages", honoured, chat},
      {"prompt", honoured, completions},
      {"echo", honoured, completions},
      {"max_tokens", honoured},
      {"max_completion_tokens", honoured, chat},
      {"temperature", honoured},
      {"top_p", honoured},
      {"top_k", honoured},
      {"min_p", honoured},
      {"repetition_penalty", honoured},
      {"frequency_penalty", honoured},
      {"presence_penalty", honoured},
      {"logit_bias", honoured},
      {"seed", honoured},
      {"n", honoured},
      {"stop", honoured},
      {"stop_token_ids", honoured},
      {"ignore_eos", honoured},
      {"min_tokens", honoured},
      {"logprobs", honoured},
      {"top_logprobs", honoured},
      {"return_token_ids", honoured},
      {"return_progress", honoured},
      {"timings_per_token", honoured},
      {"stream", honoured},
      {"stream_options", honoured},
      {"cache_salt", honoured},
      {"priority", honoured},
      {"chat_template_kwargs", honoured, chat},
      {"add_generation_prompt", honoured, chat},
      {"continue_final_message", honoured, chat},
      {"user", hint},
      {"metadata", hint},
      {"safety_identifier", hint},
      {"prompt_cache_key", hint},
      {"prompt_cache_retention", hint},
      {"service_tier", hint},
      {"parallel_tool_calls", hint},
      {"prediction", hint},
      {"tools", refused, both, "[[]]"},
      {"functions", refused, both, "[[]]"},
      {"tool_choice", refused, both, R"(["none", "auto"])"},
      {"function_call", refused, both, R"(["none", "auto"])"},
      {"response_format", refused, both, R"([{"type": "text"}])"},
      {"guided_json", refused},
      {"guided_regex", refused},
      {"guided_choice", refused},
      {"guided_grammar", refused},
      {"structured_outputs", refused},
      {"grammar", refused, both, R"([""])"},
      {"json_schema", refused},
      {"reasoning_effort", refused, both, R"(["none"])"},
      {"verbosity", refused, both, R"(["medium"])"},
      {"web_search_options", refused},
      {"modalities", refused, both, R"([["text"]])"},
      {"audio", refused},
      {"store", refused, both, "[false]"},
      {"best_of", refused, both, "[1]"},
      {"suffix", refused, both, R"([""])"},
      {"prompt_logprobs", refused, both, "[false]"},
      {"documents", refused, both, "[[]]"},
      {"bad_words", refused, both, "[[]]"},
      {"allowed_token_ids", refused},
      {"truncate_prompt_tokens", refused},
      {"length_penalty", refused, both, "[1]"},
      {"use_beam_search", refused, both, "[false]"},
      {"skip_special_tokens", refused, both, "[true]"},
      {"spaces_between_special_tokens", refused, both, "[true]"},
      {"include_stop_str_in_output", refused, both, "[false]"},
  };
  return rules;
}

void check_fields(const boost::json::object& body, bool chat, bool ignore_unknown) {
  const std::span<const FieldRule> rules = field_rules();
  for (const auto& [key, field] : body) {
    if (field.is_null()) continue;
    const auto rule = std::ranges::find(rules, std::string_view(key), &FieldRule::key);
    const bool known =
        rule != rules.end() && (rule->place == FieldPlace::both || (rule->place == FieldPlace::chat) == chat);
    if (known ? rule->treatment != FieldTreatment::refused || is_neutral(*rule, field) : ignore_unknown) continue;
    throw BadRequest(std::string(key), fmt::format("'{}' is not supported", std::string_view(key)));
  }
}

}  // namespace incipit
