// incipit run --chat: a conversation.
#pragma once

#include <boost/json.hpp>
#include <optional>
#include <string>

#include "session/gateway.h"

namespace incipit::cli {

struct ChatOptions {
  std::optional<std::string> system;
  /// Variables of the template, beside and before its usual ones; `messages` is the conversation whatever they say.
  boost::json::object template_arguments;
  /// Every answer's: all but its prompt.
  Request request;
};

/// Reads what the user says, a line a turn, until its end (Ctrl-D), and answers over the engine's chat template with
/// the whole conversation, of which the prefix cache keeps what it has computed. Ctrl-C stops an answer and
/// not the conversation. What outgrows the context loses its oldest turns. Returns the exit status. Throws Error for an
/// engine without a template or tokenizer, and when the template refuses the conversation.
int run_chat(Gateway& gateway, const ChatOptions& options);

}  // namespace incipit::cli
