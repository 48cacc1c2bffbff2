#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

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
      // Clients send answers back as they came: with fields that say nothing.
      if (field.is_null() || (key != "content" && field.is_array() && field.get_array().empty())) continue;
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

/// Cuts off what the template has written behind the last message, whose text then goes on. As Transformers does it.
std::string up_to_final_message(std::string rendered, const array& messages) {
  constexpr std::string_view blank = " \t\r\n";
  const std::string final = fields::text_of(messages.back().at("content"), "messages");
  const size_t begin = std::min(final.find_first_not_of(blank), final.size());
  const std::string without_begin = final.substr(begin);
  const std::string stripped = without_begin.substr(0, without_begin.find_last_not_of(blank) + 1);
  const size_t at = stripped.empty() ? std::string::npos : rendered.rfind(stripped);
  if (at == std::string::npos) {
    throw BadRequest("continue_final_message",
                     "the chat template does not show the last message as it is, or it is empty");
  }
  // Blanks at its end stay where the template keeps them.
  const bool whole = rendered.compare(at, without_begin.size(), without_begin) == 0;
  rendered.resize(at + (whole ? without_begin.size() : stripped.size()));
  return rendered;
}

}  // namespace

std::vector<int32_t> read_chat_prompt(const object& body, const BodyContext& context, RequestBody* into) {
  if (context.tokenizer == nullptr) throw BadRequest("messages", "the engine has no tokenizer: use /v1/completions");
  if (context.chat == nullptr) throw BadRequest("messages", "the engine has no chat template: use /v1/completions");
  object variables = *context.chat_variables;
  const bool goes_on = fields::flag(body, "continue_final_message", false);
  const bool begins = fields::flag(body, "add_generation_prompt", !goes_on);
  if (goes_on && begins) {
    throw BadRequest("continue_final_message",
                     "'continue_final_message' and 'add_generation_prompt' cannot both be true");
  }
  variables["add_generation_prompt"] = begins;
  if (const value* more = fields::given(body, "chat_template_kwargs")) {
    for (const auto& [name, variable] : fields::object_of(*more, "chat_template_kwargs")) variables[name] = variable;
  }
  const array messages = read_messages(body);
  variables["messages"] = messages;
  const auto begun = std::chrono::steady_clock::now();
  try {
    std::string text = context.chat->render(variables);
    if (goes_on) text = up_to_final_message(std::move(text), messages);
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
