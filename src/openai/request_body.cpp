#include "openai/request_body.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <limits>
#include <span>

#include "base/digest.h"
#include "base/error.h"
#include "openai/field_rules.h"
#include "openai/fields.h"
#include "session/check_request.h"
#include "text/tokenizer.h"

namespace incipit {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;
using fields::given;

constexpr int32_t completions_max_tokens = 16;  // the API's default
constexpr size_t most_stops = 4;

void read_biases(const value& from, SamplingParameters& sampling) {
  const object& biases = fields::object_of(from, "logit_bias");
  if (biases.size() > static_cast<size_t>(SamplingParameters::max_biases)) {
    throw BadRequest("logit_bias",
                     fmt::format("'logit_bias' may have {} entries at most", SamplingParameters::max_biases));
  }
  for (const auto& [key, bias] : biases) {
    const auto at = static_cast<size_t>(sampling.biases++);
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), sampling.bias_ids[at]);
    if (error != std::errc() || end != key.data() + key.size()) {
      throw BadRequest("logit_bias", fmt::format("'{}' in 'logit_bias' is no token id", std::string_view(key)));
    }
    sampling.bias_values[at] = static_cast<float>(fields::number_of(bias, fields::join("logit_bias", key), -100, 100));
  }
}

SamplingParameters read_sampling(const object& body, const BodyContext& context) {
  SamplingParameters sampling = context.default_sampling;
  const auto set = [&](std::string_view key, float& field, double least, double most) {
    if (const value* option = given(body, key)) {
      field = static_cast<float>(fields::number_of(*option, std::string(key), least, most));
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
    sampling.top_k = static_cast<int32_t>(std::max<int64_t>(0, fields::integer_of(*top_k, "top_k", -1, INT32_MAX)));
  }
  if (const value* biases = given(body, "logit_bias")) read_biases(*biases, sampling);
  sampling.seed = context.seed;
  if (const value* own = given(body, "seed")) {
    sampling.seed = static_cast<uint64_t>(fields::integer_of(*own, "seed", INT64_MIN, INT64_MAX));
  }
  return sampling;
}

/// A conversation says whether it wants logprobs and how many alternatives; a completion says how many.
void read_logprobs(const object& body, RequestBody& into) {
  int32_t& alternatives = into.request.sampling.top_logprobs;
  const auto count = [&](const value& from, const std::string& field) {
    alternatives = static_cast<int32_t>(fields::integer_of(from, field, 0, max_top_logprobs));
  };
  const value* wanted = given(body, "logprobs");
  const value* top = given(body, "top_logprobs");
  if (!into.chat) {
    if (top != nullptr && *top != value(0)) {
      throw BadRequest("top_logprobs", "'top_logprobs' is not supported here: 'logprobs' is their number");
    }
    if (wanted == nullptr || *wanted == value(false)) return;
    count(*wanted, "logprobs");
    into.logprobs = true;
    return;
  }
  into.logprobs = fields::flag(body, "logprobs", false);
  if (top == nullptr) return;
  count(*top, "top_logprobs");
  if (alternatives > 0 && !into.logprobs) throw BadRequest("top_logprobs", "'top_logprobs' needs 'logprobs': true");
}

std::vector<std::string> read_stops(const object& body) {
  const value* stop = given(body, "stop");
  if (stop == nullptr) return {};
  if (stop->is_string()) return {fields::text_of(*stop, "stop")};
  if (!stop->is_array()) fields::wrong_kind("stop", *stop, "a string or an array of strings");
  if (stop->get_array().size() > most_stops) {
    throw BadRequest("stop", fmt::format("'stop' may have {} texts at most", most_stops));
  }
  std::vector<std::string> texts;
  for (const value& text : stop->get_array()) texts.push_back(fields::text_of(text, "stop"));
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
    return static_cast<int32_t>(fields::integer_of(*most, name, 1, INT32_MAX));
  }
  return chat ? 0 : completions_max_tokens;
}

int32_t read_min_tokens(const object& body, int32_t most) {
  const value* least = given(body, "min_tokens");
  if (least == nullptr) return 0;
  const auto tokens = static_cast<int32_t>(fields::integer_of(*least, "min_tokens", 0, INT32_MAX));
  if (most > 0 && tokens > most) {
    throw BadRequest("min_tokens", fmt::format("'min_tokens' is {}, and the most tokens are {}", tokens, most));
  }
  return tokens;
}

void read_stream(const object& body, RequestBody& into) {
  into.stream = fields::flag(body, "stream", false);
  into.timings = fields::flag(body, "timings_per_token", false);
  into.request.tell_progress = fields::flag(body, "return_progress", false) || into.timings;
  into.return_progress = into.stream && fields::flag(body, "return_progress", false);
  const value* options = given(body, "stream_options");
  if (options == nullptr) return;
  const object& wanted = fields::object_of(*options, "stream_options");
  into.include_usage = fields::flag(wanted, "include_usage", false);
  if (fields::flag(wanted, "continuous_usage_stats", false)) {
    throw BadRequest("stream_options.continuous_usage_stats",
                     "'stream_options.continuous_usage_stats' is not supported");
  }
}

const Tokenizer& tokenizer_for(const BodyContext& context, const std::string& field) {
  if (context.tokenizer == nullptr) {
    throw BadRequest(field, "the engine has no tokenizer: give the prompt as token ids");
  }
  return *context.tokenizer;
}

/// One prompt, and what an answer that echoes it begins with.
void add_prompt(const value& prompt, const BodyContext& context, bool echo, RequestBody& into) {
  if (prompt.is_string()) {
    const std::string text = fields::text_of(prompt, "prompt");
    const auto begun = std::chrono::steady_clock::now();
    into.prompts.push_back(tokenizer_for(context, "prompt").encode(text));
    into.tokenise_time += std::chrono::steady_clock::now() - begun;
    if (echo) into.echoes.push_back(text);
  } else if (prompt.is_array()) {
    into.prompts.push_back(fields::ids_of(prompt, "prompt"));
    if (echo) into.echoes.push_back(tokenizer_for(context, "echo").decode(into.prompts.back()));
  } else {
    fields::wrong_kind("prompt", prompt, "a string or an array of token ids");
  }
}

/// A text, an array of ids, or an array of those.
void read_prompts(const object& body, const BodyContext& context, RequestBody& into) {
  const value* prompt = given(body, "prompt");
  if (prompt == nullptr) throw BadRequest("prompt", "'prompt' is missing");
  const bool echo = fields::flag(body, "echo", false);
  if (echo && into.logprobs) throw BadRequest("echo", "'echo' is not supported with 'logprobs'");
  const array* list = prompt->if_array();
  if (list == nullptr || list->empty() || list->front().is_number()) {
    add_prompt(*prompt, context, echo, into);
    return;
  }
  if (list->size() > static_cast<size_t>(most_choices)) {
    throw BadRequest("prompt", fmt::format("'prompt' may have {} prompts at most", most_choices));
  }
  for (const value& one : *list) add_prompt(one, context, echo, into);
}

/// Salts of requests that give none are 0.
uint64_t read_salt(const object& body) {
  const value* salt = given(body, "cache_salt");
  if (salt == nullptr) return 0;
  const std::string text = fields::text_of(*salt, "cache_salt");
  return digest_of(std::as_bytes(std::span(text))).low_bits();
}

}  // namespace

uint64_t RequestBody::seed_of(size_t choice) const {
  return request.sampling.seed + 0x9e3779b97f4a7c15u * (choice % static_cast<size_t>(n));
}

Request RequestBody::request_of(size_t choice) const {
  Request own = request;
  own.prompt = prompts.at(prompt_of(choice));
  own.sampling.seed = seed_of(choice);
  return own;
}

BadRequest bad_request_of(const UnfitRequest& unfit, bool chat) {
  const auto field = [&]() -> std::string {
    switch (unfit.part()) {
      case RequestPart::prompt: return chat ? "messages" : "prompt";
      case RequestPart::stop_texts: return "stop";
      case RequestPart::stop_ids: return "stop_token_ids";
      case RequestPart::biases: return "logit_bias";
      case RequestPart::other: return "";
    }
    INCIPIT_ASSERT(!"part");
  };
  return BadRequest(field(), unfit.what());
}

RequestBody read_request_body(const object& body, bool chat, const BodyContext& context) {
  check_fields(body, chat, context.ignore_unknown);
  RequestBody read;
  read.chat = chat;
  if (const value* model = given(body, "model")) read.model = fields::text_of(*model, "model");
  read_stream(body, read);
  read.request.sampling = read_sampling(body, context);
  read_logprobs(body, read);
  read.request.max_new_tokens = read_max_tokens(body, chat);
  read.request.min_new_tokens = read_min_tokens(body, read.request.max_new_tokens);
  read.request.stop_texts = read_stops(body);
  if (const value* stop = given(body, "stop_token_ids")) {
    read.request.stop_ids = fields::ids_of(*stop, "stop_token_ids");
  }
  read.request.ignore_end = fields::flag(body, "ignore_eos", false);
  read.request.cache_salt = read_salt(body);
  if (const value* priority = given(body, "priority")) {
    read.request.priority = static_cast<int32_t>(fields::integer_of(*priority, "priority", INT32_MIN, INT32_MAX));
  }
  read.return_token_ids = fields::flag(body, "return_token_ids", false);
  if (const value* n = given(body, "n")) {
    read.n = static_cast<int32_t>(fields::integer_of(*n, "n", 1, most_choices));
  }
  if (chat) {
    read.prompts.push_back(read_chat_prompt(body, context, &read));
  } else {
    read_prompts(body, context, read);
  }
  if (read.choices() > static_cast<size_t>(most_choices)) {
    throw BadRequest(
        "n", fmt::format("'n' and 'prompt' ask for {} choices, and {} is the most", read.choices(), most_choices));
  }
  return read;
}

}  // namespace incipit
