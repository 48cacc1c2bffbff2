#include "cli/chat_variables.h"

#include <boost/json.hpp>
#include <string>

#include "base/json.h"

namespace incipit::cli {

boost::json::object chat_variables(const Engine& engine, const Tokenizer& tokenizer) {
  boost::json::object variables{{"add_generation_prompt", true}, {"tools", nullptr}, {"documents", nullptr}};
  const auto put_token = [&](const char* name, int32_t id) {
    variables[name] = std::string(tokenizer.token_bytes(id));
  };
  if (const auto id = tokenizer.bos_id()) put_token("bos_token", *id);
  if (!tokenizer.eos_ids().empty()) put_token("eos_token", tokenizer.eos_ids().front());
  if (engine.generation_defaults().empty()) return variables;
  const auto defaults = parse_json(engine.generation_defaults(), engine.path().string() + ": generation defaults");
  const auto* tokens = defaults.is_object() ? defaults.get_object().if_contains("special_tokens") : nullptr;
  if (tokens != nullptr && tokens->is_object()) {
    for (const auto& [name, text] : tokens->get_object()) variables[name] = text;
  }
  return variables;
}

}  // namespace incipit::cli
