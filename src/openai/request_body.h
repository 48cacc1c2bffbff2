// The body of a request for text: of /v1/completions and /v1/chat/completions, by batch or by server.
// Source: the completions and chat completions objects of the OpenAI API; fields of vLLM's beside them.
#pragma once

#include <boost/json/fwd.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "openai/bad_request.h"
#include "session/session.h"

namespace incipit {

class JinjaTemplate;
class UnfitRequest;

/// What bodies are read against.
struct BodyContext {
  SamplingParameters default_sampling;
  const Tokenizer* tokenizer = nullptr;                 // null when the engine has none
  const JinjaTemplate* chat = nullptr;                  // null when the engine has none
  const boost::json::object* chat_variables = nullptr;  // what it is given beside the messages
  uint64_t seed = 0;                                    // for draws when the body gives none
  bool ignore_unknown = false;                          // fields of no name that is known are passed over
};

/// What a body asks for: `n` choices of each prompt, those of one prompt side by side.
struct RequestBody {
  bool chat = false;
  std::string model;                          // empty: not given
  std::vector<std::vector<int32_t>> prompts;  // one for a conversation
  std::vector<std::string> echoes;            // what each prompt's choices begin with; empty without `echo`
  Request request;                            // all but its prompt
  int32_t n = 1;
  bool stream = false, include_usage = false;
  bool logprobs = false;  // of how many alternatives: request.sampling.top_logprobs
  bool return_token_ids = false;
  bool return_progress = false;  // chunks that tell how much of the prompts is done
  bool timings = false;          // llama.cpp's timings, with the stages of the first token
  std::chrono::nanoseconds render_time{0}, tokenise_time{0};

  size_t choices() const { return prompts.size() * static_cast<size_t>(n); }
  size_t prompt_of(size_t choice) const { return choice / static_cast<size_t>(n); }
  /// What a choice draws by. The first choice of a prompt draws as it would alone.
  uint64_t seed_of(size_t choice) const;
  /// The session's request for a choice.
  Request request_of(size_t choice) const;
};

/// Choices that one body may ask for.
constexpr int64_t most_choices = 128;

/// Throws BadRequest naming the field that is missing, wrong or not supported.
RequestBody read_request_body(const boost::json::object& body, bool chat, const BodyContext& context);

/// What the session found of a body's request, told by its field.
BadRequest bad_request_of(const UnfitRequest& unfit, bool chat);

/// The tokens of a conversation, rendered by the model's chat template: what a body's `messages` and what goes with
/// them say. Times go into `into`, if given. Throws BadRequest.
std::vector<int32_t> read_chat_prompt(const boost::json::object& body, const BodyContext& context,
                                      RequestBody* into = nullptr);

}  // namespace incipit
