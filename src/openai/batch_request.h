// One line of an OpenAI batch: what it asks for, and the line that answers it.
// Source: the batch object of the OpenAI API.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "openai/answer_body.h"
#include "openai/bad_request.h"
#include "openai/request_body.h"

namespace incipit {

/// An input line, as far as every line must be readable.
struct BatchLine {
  std::string custom_id;
  bool chat = false;  // /v1/chat/completions, else /v1/completions
};

/// Throws BadRequest.
BatchLine parse_batch_line(const boost::json::value& line);

/// What a line's body asks for: one answer, not streamed. Throws BadRequest naming the parameter that is missing, wrong
/// or not supported.
RequestBody parse_batch_body(const boost::json::value& line, const BatchLine& parsed, const BodyContext& context);

/// What a request has yielded.
struct BatchResult {
  ChoiceOutput output;
  TokenUsage usage;
  std::string failure;
};

/// The output lines, without their ends. `id` is the line's own, `custom_id` nothing where it could not be read.
std::string answer_line(std::string_view id, const BatchLine& line, const RequestBody& body, const Tokenizer* tokenizer,
                        std::string_view model, int64_t created, const BatchResult& result);
/// What both begin with.
std::string beginning_of_answer(std::string_view id);
std::string refusal_line(std::string_view id, const std::optional<std::string>& custom_id, const BadRequest& fault);

}  // namespace incipit
