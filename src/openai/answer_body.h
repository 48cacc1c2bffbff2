// The bodies of answers: whole, or in the chunks of a stream; and of errors.
// Source: the completion, chat completion and chat completion chunk objects of the OpenAI API.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "openai/bad_request.h"
#include "openai/request_body.h"

namespace incipit {

/// What a choice has yielded, or what of it is new.
struct ChoiceOutput {
  size_t choice = 0;
  std::string text;
  std::vector<SampledRow> tokens;  // kept where logprobs or ids are wanted; with the one that ended the text
  FinishReason finish = FinishReason::none;
};

struct TokenUsage {
  int64_t prompt_tokens = 0, cached_tokens = 0, new_tokens = 0;
};

/// How much of all prompts of a body is done, as llama.cpp tells of it.
struct PromptProgress {
  int64_t total = 0, cached = 0, processed = 0;  // tokens; processed: with those that were cached
  double ms = 0;                                 // since the first step of the first
};

/// Writes the answer to one body. `body` and `tokenizer` (null: none) outlive it.
class AnswerWriter {
 public:
  /// `fingerprint`: of what makes the answer (OpenAI's system_fingerprint); empty: it is not told.
  AnswerWriter(const RequestBody& body, const Tokenizer* tokenizer, std::string id, std::string model, int64_t created,
               std::string fingerprint = {});

  /// The answer as one object; `choices` are whole, and in order.
  boost::json::object whole(std::span<const ChoiceOutput> choices, const TokenUsage& usage);
  /// The chunks (JSON objects) that tell what is new of a choice, in order; the last of them has the `timings`, if any.
  std::vector<std::string> chunks(const ChoiceOutput& output, const boost::json::object* timings = nullptr);
  /// The chunk that `stream_options.include_usage` asks for.
  std::string usage_chunk(const TokenUsage& usage) const;
  /// The chunk that `return_progress` asks for: no choice has anything new.
  std::string progress_chunk(const PromptProgress& progress) const;

 private:
  /// How far a choice has been told.
  struct Told {
    bool begun = false;
    int64_t characters = 0;  // of its tokens' texts, where offsets are told
  };
  boost::json::object head(std::string_view object) const;
  boost::json::object chunk(boost::json::array choices) const;
  boost::json::value logprobs(const ChoiceOutput& output, Told& told) const;
  boost::json::value chat_logprobs(const ChoiceOutput& output) const;
  boost::json::value completion_logprobs(const ChoiceOutput& output, Told& told) const;
  std::string token_text(int32_t id) const;
  void add_ids(const ChoiceOutput& output, bool first, boost::json::object& choice) const;
  std::string_view echo(const ChoiceOutput& output) const;

  const RequestBody& body_;
  const Tokenizer* tokenizer_;
  std::string id_, model_;
  int64_t created_;
  std::string fingerprint_;
  std::vector<Told> told_;  // a choice each
};

/// {"error": {"message", "type", "param", "code"}}; empty texts are null.
boost::json::object error_body(std::string_view message, std::string_view type, std::string_view parameter = {},
                               std::string_view code = {});
boost::json::object error_body(const BadRequest& fault);

}  // namespace incipit
