#include "openai/batch_request.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "openai/fields.h"

namespace incipit {
namespace {

constexpr std::string_view chat_url = "/v1/chat/completions", completions_url = "/v1/completions";

std::string output_line(std::string_view id, boost::json::value custom_id, int status, std::string_view request_id,
                        boost::json::object body) {
  const boost::json::object response{{"status_code", status}, {"request_id", request_id}, {"body", std::move(body)}};
  return boost::json::serialize(
      boost::json::object{{"id", id}, {"custom_id", std::move(custom_id)}, {"response", response}, {"error", nullptr}});
}

}  // namespace

BatchLine parse_batch_line(const boost::json::value& line) {
  const boost::json::object& whole = fields::object_of(line, "line");
  const auto text = [&](std::string_view key) {
    const boost::json::value* found = fields::given(whole, key);
    if (found == nullptr) throw BadRequest(std::string(key), fmt::format("'{}' is missing", key));
    return fields::text_of(*found, std::string(key));
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

RequestBody parse_batch_body(const boost::json::value& line, const BatchLine& parsed, const BodyContext& context) {
  const boost::json::value* found = fields::given(line.get_object(), "body");
  if (found == nullptr) throw BadRequest("body", "'body' is missing");
  RequestBody body = read_request_body(fields::object_of(*found, "body"), parsed.chat, context);
  if (body.stream) throw BadRequest("stream", "'stream' is not supported in a batch");
  if (body.n != 1) throw BadRequest("n", "'n' is not supported in a batch but as 1");
  if (body.prompts.size() != 1) {
    throw BadRequest("prompt", "several prompts in 'prompt' are not supported in a batch: give each a line of its own");
  }
  return body;
}

std::string answer_line(std::string_view id, const BatchLine& line, const RequestBody& body, const Tokenizer* tokenizer,
                        std::string_view model, int64_t created, const BatchResult& result) {
  const std::string request_id = fmt::format("{}{}", line.chat ? "chatcmpl-" : "cmpl-", id);
  if (result.output.finish == FinishReason::failed) {
    return output_line(id, boost::json::value(line.custom_id), 500, request_id,
                       error_body(result.failure, "server_error"));
  }
  AnswerWriter writer(body, tokenizer, request_id, std::string(model), created);
  return output_line(id, boost::json::value(line.custom_id), 200, request_id,
                     writer.whole({&result.output, 1}, result.usage));
}

std::string beginning_of_answer(std::string_view id) { return fmt::format(R"({{"id":"{}")", id); }

std::string refusal_line(std::string_view id, const std::optional<std::string>& custom_id, const BadRequest& fault) {
  return output_line(id, custom_id ? boost::json::value(*custom_id) : boost::json::value(nullptr), 400,
                     fmt::format("req-{}", id), error_body(fault));
}

}  // namespace incipit
