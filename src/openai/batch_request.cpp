#include "openai/batch_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "jinja/jinja_template.h"
#include "text/tokenizer.h"

namespace incipit {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

constexpr std::string_view chat_url = "/v1/chat/completions", completions_url = "/v1/completions";
constexpr int32_t completions_max_tokens = 16;  // the API's default
constexpr size_t most_stops = 4;

std::string join(const std::string& parameter, std::string_view part) { return fmt::format("{}.{}", parameter, part); }

/// The value of a key, or null where it is missing or null: both stand for the default.
const value* given(const object& body, std::string_view key) {
  const value* found = body.if_contains(key);
  return found == nullptr || found->is_null() ? nullptr : found;
}

[[noreturn]] void wrong_kind(const std::string& parameter, const value& found, std::string_view expected) {
  throw BadRequest(parameter, fmt::format("'{}' is {}, and should be {}", parameter, kind_name(found), expected));
}

std::string text_of(const value& from, const std::string& parameter) {
  if (!from.is_string()) wrong_kind(parameter, from, "a string");
  return std::string(from.get_string());
}

double number_of(const value& from, const std::string& parameter, double least, double most) {
  if (!from.is_number()) wrong_kind(parameter, from, "a number");
  const auto number = from.to_number<double>();
  const bool is_inside = number >= least && number <= most;  // no NaN is
  if (!is_inside) {
    throw BadRequest(parameter, fmt::format("'{}' is {}, and should be {} to {}", parameter, number, least, most));
  }
  return number;
}

int64_t integer_of(const value& from, const std::string& parameter, int64_t least, int64_t most) {
  boost::system::error_code inexact;
  const auto number = from.is_number() ? from.to_number<int64_t>(inexact) : int64_t{0};
  if (!from.is_number()) wrong_kind(parameter, from, "an integer");
  if (inexact || number < least || number > most) {
    throw BadRequest(parameter, fmt::format("'{}' is {}, and should be an integer of {} to {}", parameter,
                                            boost::json::serialize(from), least, most));
  }
  return number;
}

/// Options that are understood.
constexpr std::array<std::string_view, 16> common_keys{"ignore_eos",
                                                       "stop_token_ids",
                                                       "model",
                                                       "max_tokens",
                                                       "temperature",
                                                       "top_p",
                                                       "seed",
                                                       "stop",
                                                       "frequency_penalty",
                                                       "presence_penalty",
                                                       "logit_bias",
                                                       "repetition_penalty",
                                                       "top_k",
                                                       "min_p",
                                                       "n",
                                                       "stream"};

/// Options that are looked at no further: they say who asks, or how a server may go about it.
constexpr std::string_view ignored_keys[] = {"user",         "metadata", "safety_identifier",  "prompt_cache_key",
                                             "service_tier", "priority", "parallel_tool_calls"};

/// Options of the API and of servers like it that are not supported but as what they are without being given.
struct NeutralOption {
  std::string_view key, values;  // a JSON array
};
constexpr NeutralOption neutral_options[] = {
    {"tools", "[[]]"},
    {"functions", "[[]]"},
    {"tool_choice", R"(["none", "auto"])"},
    {"function_call", R"(["none", "auto"])"},
    {"logprobs", "[false]"},
    {"top_logprobs", "[0]"},
    {"prompt_logprobs", "[false]"},
    {"echo", "[false]"},
    {"store", "[false]"},
    {"best_of", "[1]"},
    {"suffix", R"([""])"},
    {"stream_options", R"([{}, {"include_usage": false}, {"include_usage": true}])"},
    {"response_format", R"([{"type": "text"}])"},
    {"modalities", R"([["text"]])"},
    {"documents", "[[]]"},
    {"min_tokens", "[0]"},
    {"length_penalty", "[1]"},
    {"use_beam_search", "[false]"},
    {"skip_special_tokens", "[true]"},
    {"spaces_between_special_tokens", "[true]"},
    {"include_stop_str_in_output", "[false]"},
    {"add_generation_prompt", "[true]"},
    {"continue_final_message", "[false]"},
    {"return_token_ids", "[false]"},
};

/// Whether an option says no more than the default. Numbers are compared as such: 1.0 is 1.
bool is_neutral(std::string_view key, const value& option) {
  for (const auto& [name, values] : neutral_options) {
    if (name != key) continue;
    const value all = parse_json(values, name);
    for (const value& neutral : all.get_array()) {
      if (neutral == option) return true;
      if (neutral.is_number() && option.is_number() && neutral.to_number<double>() == option.to_number<double>()) {
        return true;
      }
    }
  }
  return false;
}

void check_keys(const object& body, bool chat) {
  for (const auto& [key, option] : body) {
    if (option.is_null() || std::ranges::find(common_keys, std::string_view(key)) != common_keys.end()) continue;
    if (chat && (key == "messages" || key == "max_completion_tokens" || key == "chat_template_kwargs")) continue;
    if (!chat && key == "prompt") continue;
    if (std::ranges::find(ignored_keys, std::string_view(key)) != std::end(ignored_keys)) continue;
    if (is_neutral(key, option)) continue;
    throw BadRequest(std::string(key), fmt::format("'{}' is not supported", std::string_view(key)));
  }
  if (const value* n = given(body, "n"); n != nullptr && integer_of(*n, "n", 1, 128) != 1) {
    throw BadRequest("n", "'n' is not supported but as 1");
  }
  if (const value* stream = given(body, "stream"); stream != nullptr && *stream != value(false)) {
    throw BadRequest("stream", "'stream' is not supported in a batch");
  }
}

void read_biases(const value& from, SamplingParameters& sampling) {
  if (!from.is_object()) wrong_kind("logit_bias", from, "an object");
  if (from.get_object().size() > static_cast<size_t>(SamplingParameters::max_biases)) {
    throw BadRequest("logit_bias",
                     fmt::format("'logit_bias' may have {} entries at most", SamplingParameters::max_biases));
  }
  for (const auto& [key, bias] : from.get_object()) {
    const auto at = static_cast<size_t>(sampling.biases++);
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), sampling.bias_ids[at]);
    if (error != std::errc() || end != key.data() + key.size()) {
      throw BadRequest("logit_bias", fmt::format("'{}' in 'logit_bias' is no token id", std::string_view(key)));
    }
    sampling.bias_values[at] = static_cast<float>(number_of(bias, join("logit_bias", key), -100, 100));
  }
}

SamplingParameters read_sampling(const object& body, const BatchContext& context, uint64_t seed) {
  SamplingParameters sampling = context.default_sampling;
  const auto set = [&](std::string_view key, float& field, double least, double most) {
    if (const value* option = given(body, key)) {
      field = static_cast<float>(number_of(*option, std::string(key), least, most));
    }
  };
  set("temperature", sampling.temperature, 0, 2);
  set("top_p", sampling.top_p, 0, 1);
  if (sampling.top_p == 0) sampling.top_p = std::numeric_limits<float>::min();  // the likeliest token alone
  set("min_p", sampling.min_p, 0, 1);
  set("repetition_penalty", sampling.repetition_penalty, 1e-3, 1e3);
  set("frequency_penalty", sampling.frequency_penalty, -2, 2);
  set("presence_penalty", sampling.presence_penalty, -2, 2);
  if (const value* top_k = given(body, "top_k")) {
    // Some clients write −1 for all.
    sampling.top_k = static_cast<int32_t>(std::max<int64_t>(0, integer_of(*top_k, "top_k", -1, INT32_MAX)));
  }
  if (const value* biases = given(body, "logit_bias")) read_biases(*biases, sampling);
  sampling.seed = seed;
  if (const value* own = given(body, "seed")) {
    sampling.seed = static_cast<uint64_t>(integer_of(*own, "seed", INT64_MIN, INT64_MAX));
  }
  return sampling;
}

std::vector<std::string> read_stops(const object& body) {
  const value* stop = given(body, "stop");
  if (stop == nullptr) return {};
  if (stop->is_string()) return {text_of(*stop, "stop")};
  if (!stop->is_array()) wrong_kind("stop", *stop, "a string or an array of strings");
  if (stop->get_array().size() > most_stops) {
    throw BadRequest("stop", fmt::format("'stop' may have {} texts at most", most_stops));
  }
  std::vector<std::string> texts;
  for (const value& text : stop->get_array()) texts.push_back(text_of(text, "stop"));
  return texts;
}

int32_t read_max_tokens(const object& body, bool chat) {
  const value* current = given(body, "max_completion_tokens");
  const value* older = given(body, "max_tokens");
  if (current != nullptr && older != nullptr && *current != *older) {
    throw BadRequest("max_tokens", "'max_tokens' and 'max_completion_tokens' differ");
  }
  const std::string name = current != nullptr ? "max_completion_tokens" : "max_tokens";
  if (const value* most = current != nullptr ? current : older) {
    return static_cast<int32_t>(integer_of(*most, name, 1, INT32_MAX));
  }
  return chat ? 0 : completions_max_tokens;
}

const Tokenizer& tokenizer_for(const BatchContext& context, const std::string& parameter) {
  if (context.tokenizer == nullptr) {
    throw BadRequest(parameter, "the engine has no tokenizer: give the prompt as token ids");
  }
  return *context.tokenizer;
}

std::vector<int32_t> ids_of(const array& list, const std::string& parameter) {
  std::vector<int32_t> ids;
  for (const value& id : list) ids.push_back(static_cast<int32_t>(integer_of(id, parameter, 0, INT32_MAX)));
  return ids;
}

std::vector<int32_t> read_stop_ids(const object& body) {
  const value* stop = given(body, "stop_token_ids");
  if (stop == nullptr) return {};
  if (!stop->is_array()) wrong_kind("stop_token_ids", *stop, "an array of token ids");
  return ids_of(stop->get_array(), "stop_token_ids");
}

std::vector<int32_t> read_prompt(const object& body, const BatchContext& context) {
  const value* prompt = given(body, "prompt");
  if (prompt == nullptr) throw BadRequest("prompt", "'prompt' is missing");
  // A list of one prompt is that prompt.
  if (prompt->is_array() && prompt->get_array().size() == 1 && !prompt->get_array()[0].is_number()) {
    prompt = &prompt->get_array()[0];
  } else if (prompt->is_array() && !prompt->get_array().empty() && !prompt->get_array()[0].is_number()) {
    throw BadRequest("prompt", "several prompts in 'prompt' are not supported: give each a line of its own");
  }
  if (prompt->is_string()) return tokenizer_for(context, "prompt").encode(text_of(*prompt, "prompt"));
  if (prompt->is_array()) return ids_of(prompt->get_array(), "prompt");
  wrong_kind("prompt", *prompt, "a string or an array of token ids");
}

/// A message's content as one text: parts other than text are refused.
value content_of(const value& content, const std::string& parameter) {
  if (!content.is_array()) {
    if (!content.is_string()) wrong_kind(parameter, content, "a string or an array of text parts");
    return content;
  }
  std::string text;
  for (const value& part : content.get_array()) {
    const object* fields = part.if_object();
    const value* type = fields == nullptr ? nullptr : fields->if_contains("type");
    if (type == nullptr || *type != "text" || !fields->contains("text")) {
      throw BadRequest(parameter, fmt::format("'{}' has a part that is no text", parameter));
    }
    text += text_of(fields->at("text"), join(parameter, "text"));
  }
  return value(text);
}

array read_messages(const object& body) {
  const value* list = given(body, "messages");
  if (list == nullptr) throw BadRequest("messages", "'messages' is missing");
  if (!list->is_array()) wrong_kind("messages", *list, "an array");
  if (list->get_array().empty()) throw BadRequest("messages", "'messages' is empty");
  array messages;
  for (const value& entry : list->get_array()) {
    const std::string parameter = fmt::format("messages[{}]", messages.size());
    if (!entry.is_object()) wrong_kind(parameter, entry, "an object");
    object message;
    for (const auto& [key, field] : entry.get_object()) {
      if (field.is_null() || (key == "tool_calls" && field.is_array() && field.get_array().empty())) continue;
      if (key != "role" && key != "content" && key != "name") {
        throw BadRequest(join(parameter, key), fmt::format("'{}' is not supported", join(parameter, key)));
      }
      message[key] =
          key == "content" ? content_of(field, join(parameter, key)) : value(text_of(field, join(parameter, key)));
    }
    for (const std::string_view key : {"role", "content"}) {
      if (!message.contains(key))
        throw BadRequest(join(parameter, key), fmt::format("'{}' is missing", join(parameter, key)));
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

std::vector<int32_t> read_chat(const object& body, const BatchContext& context) {
  const Tokenizer& tokenizer = tokenizer_for(context, "messages");
  if (context.chat == nullptr) throw BadRequest("messages", "the engine has no chat template: use /v1/completions");
  object variables = *context.chat_variables;
  if (const value* more = given(body, "chat_template_kwargs")) {
    if (!more->is_object()) wrong_kind("chat_template_kwargs", *more, "an object");
    for (const auto& [name, variable] : more->get_object()) variables[name] = variable;
  }
  variables["messages"] = read_messages(body);
  try {
    // The template writes the model's own tokens itself.
    return tokenizer.encode(context.chat->render(variables), {.add_special_tokens = false});
  } catch (const Error& error) {
    throw BadRequest("messages", error.what());
  }
}

/// The API knows no other reasons.
std::string_view reason_of(FinishReason finish) { return finish == FinishReason::stop ? "stop" : "length"; }

std::string output_line(std::string_view id, value custom_id, int status, std::string_view request_id, object body) {
  const object response{{"status_code", status}, {"request_id", request_id}, {"body", std::move(body)}};
  return boost::json::serialize(
      object{{"id", id}, {"custom_id", std::move(custom_id)}, {"response", response}, {"error", nullptr}});
}

object error_body(std::string_view message, std::string_view type, value parameter) {
  return {{"error", object{{"message", message}, {"type", type}, {"param", std::move(parameter)}, {"code", nullptr}}}};
}

}  // namespace

BatchLine parse_batch_line(const value& line) {
  const object* fields = line.if_object();
  if (fields == nullptr) wrong_kind("line", line, "an object");
  const auto text = [&](std::string_view key) {
    const value* found = given(*fields, key);
    if (found == nullptr) throw BadRequest(std::string(key), fmt::format("'{}' is missing", key));
    return text_of(*found, std::string(key));
  };
  BatchLine parsed;
  parsed.custom_id = text("custom_id");
  if (const std::string method = text("method"); method != "POST") {
    throw BadRequest("method", fmt::format("'method' is '{}', and should be 'POST'", method));
  }
  const std::string url = text("url");
  if (url != chat_url && url != completions_url) {
    throw BadRequest("url", fmt::format("'{}' is not supported: give '{}' or '{}'", url, chat_url, completions_url));
  }
  parsed.chat = url == chat_url;
  return parsed;
}

Request parse_batch_body(const value& line, const BatchLine& parsed, const BatchContext& context, uint64_t seed) {
  const value* found = given(line.get_object(), "body");
  if (found == nullptr) throw BadRequest("body", "'body' is missing");
  if (!found->is_object()) wrong_kind("body", *found, "an object");
  const object& body = found->get_object();
  check_keys(body, parsed.chat);
  if (const value* model = given(body, "model")) text_of(*model, "model");
  Request request;
  request.sampling = read_sampling(body, context, seed);
  request.max_new_tokens = read_max_tokens(body, parsed.chat);
  request.stop_texts = read_stops(body);
  request.stop_ids = read_stop_ids(body);
  if (const value* ignore = given(body, "ignore_eos")) {
    if (!ignore->is_bool()) wrong_kind("ignore_eos", *ignore, "true or false");
    request.ignore_end = ignore->get_bool();
  }
  request.prompt = parsed.chat ? read_chat(body, context) : read_prompt(body, context);
  return request;
}

std::string answer_line(std::string_view id, const BatchLine& line, std::string_view model, int64_t created,
                        const BatchResult& result) {
  const std::string request_id = fmt::format("{}{}", line.chat ? "chatcmpl-" : "cmpl-", id);
  if (result.finish == FinishReason::failed) {
    return output_line(id, value(line.custom_id), 500, request_id, error_body(result.failure, "server_error", nullptr));
  }
  object choice{{"index", 0}, {"logprobs", nullptr}, {"finish_reason", reason_of(result.finish)}};
  if (line.chat) {
    choice["message"] = object{{"role", "assistant"}, {"content", result.text}, {"refusal", nullptr}};
  } else {
    choice["text"] = result.text;
  }
  const object usage{{"prompt_tokens", result.prompt_tokens},
                     {"completion_tokens", result.new_tokens},
                     {"total_tokens", result.prompt_tokens + result.new_tokens},
                     {"prompt_tokens_details", object{{"cached_tokens", result.cached_tokens}}}};
  return output_line(id, value(line.custom_id), 200, request_id,
                     {{"id", request_id},
                      {"object", line.chat ? "chat.completion" : "text_completion"},
                      {"created", created},
                      {"model", model},
                      {"choices", array{choice}},
                      {"usage", usage}});
}

std::string beginning_of_answer(std::string_view id) { return fmt::format(R"({{"id":"{}")", id); }

std::string refusal_line(std::string_view id, const std::optional<std::string>& custom_id, const BadRequest& fault) {
  return output_line(id, custom_id ? value(*custom_id) : value(nullptr), 400, fmt::format("req-{}", id),
                     error_body(fault.what(), "invalid_request_error",
                                fault.parameter().empty() ? value(nullptr) : value(fault.parameter())));
}

}  // namespace incipit
