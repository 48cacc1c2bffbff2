// One line of an OpenAI batch: what it asks for, and the line that answers it.
// Source: the batch, completions and chat completions objects of the OpenAI API.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "session/session.h"

namespace incipit {
class JinjaTemplate;
}

namespace incipit {

/// A request that cannot be served: the line is answered with status 400 and this, and the others go on.
class BadRequest : public std::runtime_error {
 public:
  /// `parameter`: the one at fault; empty for the request as a whole.
  BadRequest(std::string parameter, const std::string& message)
      : std::runtime_error(message), parameter_(std::move(parameter)) {}
  const std::string& parameter() const { return parameter_; }

 private:
  std::string parameter_;
};

/// What requests are read against.
struct BatchContext {
  SamplingParameters default_sampling;
  const Tokenizer* tokenizer = nullptr;                 // null when the engine has none
  const JinjaTemplate* chat = nullptr;                  // null when the engine has none
  const boost::json::object* chat_variables = nullptr;  // what it is given beside the messages
};

/// An input line, as far as every line must be readable.
struct BatchLine {
  std::string custom_id;
  bool chat = false;  // /v1/chat/completions, else /v1/completions
};

/// Throws BadRequest.
BatchLine parse_batch_line(const boost::json::value& line);

/// The request of a line's body. `seed`: for draws when the body gives none. Throws BadRequest naming the parameter
/// that is missing, wrong or not supported.
Request parse_batch_body(const boost::json::value& line, const BatchLine& parsed, const BatchContext& context,
                         uint64_t seed);

/// What a request has yielded.
struct BatchResult {
  std::string text;
  FinishReason finish = FinishReason::none;
  std::string failure;
  int32_t prompt_tokens = 0, cached_tokens = 0, new_tokens = 0;
};

/// The output lines, without their ends. `id` is the line's own, `custom_id` nothing where it could not be read.
std::string answer_line(std::string_view id, const BatchLine& line, std::string_view model, int64_t created,
                        const BatchResult& result);
/// What both begin with.
std::string beginning_of_answer(std::string_view id);
std::string refusal_line(std::string_view id, const std::optional<std::string>& custom_id, const BadRequest& fault);

}  // namespace incipit
