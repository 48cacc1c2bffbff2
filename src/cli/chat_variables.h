// What a chat template is given.
#pragma once

#include <boost/json/fwd.hpp>

#include "engine/engine.h"
#include "text/tokenizer.h"

namespace incipit::cli {

/// The variables of the engine's chat template beside `messages`, as Transformers gives them: add_generation_prompt,
/// the texts of the special tokens, and no tools.
boost::json::object chat_variables(const Engine& engine, const Tokenizer& tokenizer);

}  // namespace incipit::cli
