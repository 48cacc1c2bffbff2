#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/error.h"
#include "jinja/jinja_template.h"
#include "openai/fields.h"
#include "openai/request_body.h"
#include "text/tokenizer.h"

namespace incipit {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

/// A message's content as one text: parts other than text are refused.
value content_of(const value& content, const std::string& field) {
  if (!content.is_array()) {
    if (!content.is_string()) fields::wrong_kind(field, content, "a string or an array of text parts");
    return content;
  }
  std::string text;
  for (const value& part : content.get_array()) {
    const object* parts = part.if_object();
    const value* type = parts == nullptr ? nullptr : parts->if_contains("type");
    if (type == nullptr || *type != "text" || !parts->contains("text")) {
      throw BadRequest(field, fmt::format("'{}' has a part that is no text", field));
    }
    text += fields::text_of(parts->at("text"), fields::join(field, "text"));
  }
  return value(text);
}

array read_messages(const object& body) {
  const value* list = fields::given(body, "messages");
  if (list == nullptr) throw BadRequest("messages", "'messages' is missing");
  if (!list->is_array()) fields::wrong_kind("messages", *list, "an array");
  if (list->get_array().empty()) throw BadRequest("messages", "'messages' is empty");
  array messages;
  for (const value& entry : list->get_array()) {
    const std::string name = fmt::format("messages[{}]", messages.size());
    object message;
    for (const auto& [key, field] : fields::object_of(entry, name)) {
      if (field.is_null() || (key == "tool_calls" && field.is_array() && field.get_array().empty())) continue;
      const std::string part = fields::join(name, key);
      if (key != "role" && key != "content" && key != "name") {
        throw BadRequest(part, fmt::format("'{}' is not supported", part));
      }
      message[key] = key == "content" ? content_of(field, part) : value(fields::text_of(field, part));
    }
    for (const std::string_view key : {"role", "content"}) {
      if (message.contains(key)) continue;
      throw BadRequest(fields::join(name, key), fmt::format("'{}' is missing", fields::join(name, key)));
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

}  // namespace

std::vector<int32_t> read_chat_prompt(const object& body, const BodyContext& context, RequestBody* into) {
  if (context.tokenizer == nullptr) throw BadRequest("messages", "the engine has no tokenizer: use /v1/completions");
  if (context.chat == nullptr) throw BadRequest("messages", "the engine has no chat template: use /v1/completions");
  object variables = *context.chat_variables;
  variables["add_generation_prompt"] = fields::flag(body, "add_generation_prompt", true);
  if (const value* more = fields::given(body, "chat_template_kwargs")) {
    for (const auto& [name, variable] : fields::object_of(*more, "chat_template_kwargs")) variables[name] = variable;
  }
  variables["messages"] = read_messages(body);
  const auto begun = std::chrono::steady_clock::now();
  try {
    const std::string text = context.chat->render(variables);
    const auto rendered = std::chrono::steady_clock::now();
    // The template writes the model's own tokens itself.
    std::vector<int32_t> ids = context.tokenizer->encode(text, {.add_special_tokens = false});
    if (into != nullptr) {
      into->render_time = rendered - begun;
      into->tokenise_time = std::chrono::steady_clock::now() - rendered;
    }
    return ids;
  } catch (const Error& error) {
    throw BadRequest("messages", error.what());
  }
}

}  // namespace incipit
