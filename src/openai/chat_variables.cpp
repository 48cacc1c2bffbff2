#include "openai/chat_variables.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace incipit {

boost::json::object chat_variables(const Engine& engine) {
  boost::json::object variables{{"add_generation_prompt", true}, {"tools", nullptr}, {"documents", nullptr}};
  if (engine.generation_defaults().empty()) return variables;
  const auto defaults = parse_json(engine.generation_defaults(), engine.path().string() + ": generation defaults");
  const auto* tokens = defaults.is_object() ? defaults.get_object().if_contains("special_tokens") : nullptr;
  if (tokens != nullptr && tokens->is_object()) {
    for (const auto& [name, text] : tokens->get_object()) variables[name] = text;
  }
  return variables;
}

boost::json::object parse_template_arguments(const std::vector<std::string>& arguments) {
  boost::json::object parsed;
  for (const std::string& argument : arguments) {
    const size_t sign = argument.find('=');
    if (sign == std::string::npos || sign == 0) {
      throw Error("--template-arg", fmt::format("'{}' is no NAME=JSON", argument),
                  "give one such as enable_thinking=false");
    }
    const std::string name = argument.substr(0, sign);
    try {
      parsed[name] = parse_json(std::string_view(argument).substr(sign + 1), name, LargeIntegers::kept);
    } catch (const Error&) {
      throw Error("--template-arg", fmt::format("'{}' is not JSON", argument),
                  fmt::format("write a text in quotes: {}='\"…\"'", name));
    }
  }
  return parsed;
}

}  // namespace incipit
