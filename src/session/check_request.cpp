#include "session/check_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"
#include "base/utf8.h"

namespace incipit {
namespace {

void check_range(std::string_view name, double value, bool inside, std::string_view range,
                 RequestPart part = RequestPart::other) {
  if (!inside) throw UnfitRequest(part, fmt::format("{} is {}", name, value), fmt::format("give {}", range));
}

void check_sampling(const SamplingParameters& sampling, int32_t vocabulary) {
  const auto finite = [](float x) { return std::isfinite(x); };
  check_range("temperature", sampling.temperature, finite(sampling.temperature) && sampling.temperature >= 0,
              "0 (greedy) or more");
  check_range("top_k", sampling.top_k, sampling.top_k >= 0, "0 (all) or more");
  check_range("top_p", sampling.top_p, sampling.top_p > 0 && sampling.top_p <= 1, "more than 0 and at most 1 (all)");
  check_range("min_p", sampling.min_p, sampling.min_p >= 0 && sampling.min_p <= 1, "0 to 1");
  check_range("repetition_penalty", sampling.repetition_penalty,
              finite(sampling.repetition_penalty) && sampling.repetition_penalty > 0, "more than 0 (1: none)");
  check_range("frequency_penalty", sampling.frequency_penalty, finite(sampling.frequency_penalty), "a finite number");
  check_range("presence_penalty", sampling.presence_penalty, finite(sampling.presence_penalty), "a finite number");
  check_range("top_logprobs", sampling.top_logprobs,
              sampling.top_logprobs >= 0 && sampling.top_logprobs <= max_top_logprobs,
              fmt::format("0 to {}", max_top_logprobs));
  check_range("the number of logit biases", sampling.biases,
              sampling.biases >= 0 && sampling.biases <= SamplingParameters::max_biases,
              fmt::format("at most {}", SamplingParameters::max_biases), RequestPart::biases);
  for (int32_t i = 0; i < sampling.biases; ++i) {
    const int32_t id = sampling.bias_ids[static_cast<size_t>(i)];
    check_range("a logit bias's token", id, id >= 0 && id < vocabulary, fmt::format("0 to {}", vocabulary - 1),
                RequestPart::biases);
    const float value = sampling.bias_values[static_cast<size_t>(i)];
    check_range("a logit bias", value, finite(value), "a finite number", RequestPart::biases);
  }
}

}  // namespace

void check_request(const Request& request, const ExecutorLimits& limits, bool has_tokenizer) {
  if (request.prompt.empty()) throw UnfitRequest(RequestPart::prompt, "the prompt has no tokens", "give at least one");
  for (const int32_t id : request.prompt) {
    if (id < 0 || id >= limits.vocabulary) {
      throw UnfitRequest(RequestPart::prompt, fmt::format("token {} is outside the vocabulary", id),
                         fmt::format("ids are 0 to {}", limits.vocabulary - 1));
    }
  }
  if (request.prompt.size() > static_cast<size_t>(limits.max_context)) {
    throw UnfitRequest(
        RequestPart::prompt,
        fmt::format("the prompt has {} tokens, and the engine's context {}", request.prompt.size(), limits.max_context),
        "shorten it, or build the engine with a larger --max-context");
  }
  if (request.max_new_tokens < 0) {
    throw UnfitRequest(RequestPart::other, fmt::format("max_new_tokens is {}", request.max_new_tokens),
                       "give 0 (no limit) or more");
  }
  if (request.min_new_tokens < 0) {
    throw UnfitRequest(RequestPart::other, fmt::format("min_new_tokens is {}", request.min_new_tokens),
                       "give 0 (none) or more");
  }
  if (!request.stop_texts.empty() && !(has_tokenizer && request.detokenize)) {
    throw UnfitRequest(RequestPart::stop_texts, "stop texts need an engine with a tokenizer", "give stop ids");
  }
  for (const int32_t id : request.stop_ids) {
    if (id < 0 || id >= limits.vocabulary) {
      throw UnfitRequest(RequestPart::stop_ids, fmt::format("the stop token {} is outside the vocabulary", id),
                         fmt::format("ids are 0 to {}", limits.vocabulary - 1));
    }
  }
  for (const std::string& text : request.stop_texts) {
    if (text.empty()) throw UnfitRequest(RequestPart::stop_texts, "a stop text is empty", "leave it out");
    if (valid_utf8_prefix(text) != text.size()) {
      throw UnfitRequest(RequestPart::stop_texts, "a stop text is not UTF-8", "give whole characters");
    }
  }
  check_sampling(request.sampling, limits.vocabulary);
}

}  // namespace incipit
