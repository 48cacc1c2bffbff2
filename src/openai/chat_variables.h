// What a chat template is given.
#pragma once

#include <boost/json/fwd.hpp>

#include <string>
#include <vector>

#include "engine/engine.h"

namespace incipit {

/// The variables of the engine's chat template beside `messages`, as Transformers gives them: add_generation_prompt,
/// the texts of the special tokens that the model's configuration sets, and no tools.
boost::json::object chat_variables(const Engine& engine);

constexpr const char* template_argument_help =
    "NAME=JSON: a variable of the chat template, such as enable_thinking=false; may be given several times";
/// What --template-arg gave: NAME=JSON each; the last of a name counts. Throws Error for what is no such thing.
boost::json::object parse_template_arguments(const std::vector<std::string>& arguments);

}  // namespace incipit
