#include "openai/answer_body.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <utility>

#include "base/json.h"
#include "base/utf8.h"
#include "text/tokenizer.h"

namespace incipit {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

/// The API knows no other reasons.
value reason_of(FinishReason finish) {
  if (finish == FinishReason::none) return nullptr;
  return finish == FinishReason::stop ? "stop" : "length";
}

value usage_of(const TokenUsage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.new_tokens},
          {"total_tokens", usage.prompt_tokens + usage.new_tokens},
          {"prompt_tokens_details", object{{"cached_tokens", usage.cached_tokens}}}};
}

array ids_of(std::span<const SampledRow> tokens) {
  array ids;
  for (const SampledRow& token : tokens) ids.emplace_back(token.id);
  return ids;
}

value text_or_null(std::string_view text) { return text.empty() ? value(nullptr) : value(text); }

}  // namespace

AnswerWriter::AnswerWriter(const RequestBody& body, const Tokenizer* tokenizer, std::string id, std::string model,
                           int64_t created, std::string fingerprint)
    : body_(body),
      tokenizer_(tokenizer),
      id_(std::move(id)),
      model_(std::move(model)),
      created_(created),
      fingerprint_(std::move(fingerprint)),
      told_(body.choices()) {}

object AnswerWriter::head(std::string_view kind) const {
  object head{{"id", id_}, {"object", kind}, {"created", created_}, {"model", model_}};
  if (!fingerprint_.empty()) head["system_fingerprint"] = fingerprint_;
  return head;
}

std::string_view AnswerWriter::echo(const ChoiceOutput& output) const {
  return body_.echoes.empty() ? std::string_view() : body_.echoes[body_.prompt_of(output.choice)];
}

object AnswerWriter::whole(std::span<const ChoiceOutput> choices, const TokenUsage& usage) {
  object answer = head(body_.chat ? "chat.completion" : "text_completion");
  array written;
  for (const ChoiceOutput& output : choices) {
    object choice{{"index", output.choice},
                  {"logprobs", logprobs(output, told_.at(output.choice))},
                  {"finish_reason", reason_of(output.finish)}};
    if (body_.chat) {
      choice["message"] = object{{"role", "assistant"}, {"content", output.text}, {"refusal", nullptr}};
    } else {
      choice["text"] = std::string(echo(output)) + output.text;
    }
    add_ids(output, true, choice);
    written.push_back(std::move(choice));
  }
  answer["choices"] = std::move(written);
  answer["usage"] = usage_of(usage);
  return answer;
}

object AnswerWriter::chunk(array choices) const {
  object whole = head(body_.chat ? "chat.completion.chunk" : "text_completion");
  whole["choices"] = std::move(choices);
  if (body_.include_usage) whole["usage"] = nullptr;
  return whole;
}

std::vector<std::string> AnswerWriter::chunks(const ChoiceOutput& output, const object* timings) {
  Told& told = told_.at(output.choice);
  const bool first = !std::exchange(told.begun, true);
  const bool over = output.finish != FinishReason::none;
  const bool says = !output.text.empty() || (!output.tokens.empty() && (body_.logprobs || body_.return_token_ids));
  std::vector<object> made;
  const auto add = [&](object choice) {
    choice["index"] = output.choice;
    made.push_back(chunk(array{std::move(choice)}));
  };
  const auto texts = [&] {
    if (timings != nullptr && !made.empty()) made.back()["timings"] = *timings;
    std::vector<std::string> chunks;
    for (const object& one : made) chunks.push_back(boost::json::serialize(one));
    return chunks;
  };
  if (!body_.chat) {
    const std::string_view before = first ? echo(output) : std::string_view();
    if (!says && !over && before.empty()) return {};
    object choice{{"text", std::string(before) + output.text},
                  {"logprobs", logprobs(output, told)},
                  {"finish_reason", reason_of(output.finish)}};
    add_ids(output, first, choice);
    add(std::move(choice));
    return texts();
  }
  if (first) {
    add({{"delta", object{{"role", "assistant"}, {"content", ""}}}, {"logprobs", nullptr}, {"finish_reason", nullptr}});
  }
  if (says) {
    object choice{
        {"delta", object{{"content", output.text}}}, {"logprobs", logprobs(output, told)}, {"finish_reason", nullptr}};
    add_ids(output, first, choice);
    add(std::move(choice));
  }
  if (over) add({{"delta", object()}, {"logprobs", nullptr}, {"finish_reason", reason_of(output.finish)}});
  return texts();
}

std::string AnswerWriter::usage_chunk(const TokenUsage& usage) const {
  object whole = chunk({});
  whole["usage"] = usage_of(usage);
  return boost::json::serialize(whole);
}

std::string AnswerWriter::progress_chunk(const PromptProgress& progress) const {
  object whole = chunk({});
  whole["prompt_progress"] = {{"total", progress.total},
                              {"cache", progress.cached},
                              {"processed", progress.processed},
                              {"time_ms", std::llround(progress.ms)}};
  return boost::json::serialize(whole);
}

void AnswerWriter::add_ids(const ChoiceOutput& output, bool first, object& choice) const {
  if (!body_.return_token_ids) return;
  if (first) choice["prompt_token_ids"] = boost::json::value_from(body_.prompts[body_.prompt_of(output.choice)]);
  choice["token_ids"] = ids_of(output.tokens);
}

/// A token's text; a part of a character is U+FFFD, and what a client puts together from `bytes`.
std::string AnswerWriter::token_text(int32_t id) const {
  if (tokenizer_ == nullptr) return fmt::format("token_id:{}", id);
  std::string text;
  append_lossy_utf8(text, tokenizer_->token_bytes(id), true);
  return text;
}

value AnswerWriter::logprobs(const ChoiceOutput& output, Told& told) const {
  if (!body_.logprobs) return nullptr;
  return body_.chat ? chat_logprobs(output) : completion_logprobs(output, told);
}

value AnswerWriter::chat_logprobs(const ChoiceOutput& output) const {
  const auto entry = [&](int32_t id, float logprob) {
    object one{{"token", token_text(id)}, {"logprob", finite_or_null(logprob)}, {"bytes", nullptr}};
    if (tokenizer_ != nullptr) {
      array bytes;
      for (const char byte : tokenizer_->token_bytes(id)) bytes.emplace_back(static_cast<uint8_t>(byte));
      one["bytes"] = std::move(bytes);
    }
    return one;
  };
  array content;
  for (const SampledRow& token : output.tokens) {
    object one = entry(token.id, token.logprob);
    array top;
    for (int32_t i = 0; i < token.top_count; ++i) {
      top.push_back(entry(token.top_ids[static_cast<size_t>(i)], token.top_logprobs[static_cast<size_t>(i)]));
    }
    one["top_logprobs"] = std::move(top);
    content.push_back(std::move(one));
  }
  return object{{"content", std::move(content)}, {"refusal", nullptr}};
}

value AnswerWriter::completion_logprobs(const ChoiceOutput& output, Told& told) const {
  array tokens, chosen, top, offsets;
  for (const SampledRow& token : output.tokens) {
    const std::string text = token_text(token.id);
    tokens.emplace_back(text);
    chosen.push_back(finite_or_null(token.logprob));
    object alternatives;
    for (int32_t i = 0; i < token.top_count; ++i) {
      alternatives[token_text(token.top_ids[static_cast<size_t>(i)])] =
          finite_or_null(token.top_logprobs[static_cast<size_t>(i)]);
    }
    // The one that was drawn is told too, whether it is among the likeliest or not.
    if (body_.request.sampling.top_logprobs > 0) alternatives[text] = finite_or_null(token.logprob);
    top.push_back(std::move(alternatives));
    offsets.emplace_back(told.characters);
    told.characters +=
        std::ranges::count_if(text, [](char byte) { return (static_cast<uint8_t>(byte) & 0xC0) != 0x80; });
  }
  return object{{"tokens", std::move(tokens)},
                {"token_logprobs", std::move(chosen)},
                {"top_logprobs", body_.request.sampling.top_logprobs > 0 ? value(std::move(top)) : value(nullptr)},
                {"text_offset", std::move(offsets)}};
}

object error_body(std::string_view message, std::string_view type, std::string_view parameter, std::string_view code) {
  return {
      {"error",
       object{{"message", message}, {"type", type}, {"param", text_or_null(parameter)}, {"code", text_or_null(code)}}}};
}

object error_body(const BadRequest& fault) {
  return error_body(fault.what(), "invalid_request_error", fault.parameter(), fault.code());
}

}  // namespace incipit
