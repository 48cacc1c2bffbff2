#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "jinja/jinja_template.h"
#include "openai/fields.h"
#include "openai/request_body.h"
#include "text/tokenizer.h"

namespace incipit {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

/// What of a message templates are given.
constexpr std::string_view message_fields[] = {"role",      "content",          "name", "tool_calls", "tool_call_id",
                                               "reasoning", "reasoning_content"};

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

/// The calls that an assistant's message made: what templates look at of them. Arguments are a text of JSON.
array calls_of(const value& calls, const std::string& field) {
  if (!calls.is_array()) fields::wrong_kind(field, calls, "an array");
  array read;
  for (const value& call : calls.get_array()) {
    const std::string name = fmt::format("{}[{}]", field, read.size());
    const object& given = fields::object_of(call, name);
    const value* function = fields::given(given, "function");
    if (const value* type = fields::given(given, "type"); function == nullptr || (type && *type != "function")) {
      throw BadRequest(name, fmt::format("'{}' is no call of a function", name));
    }
    const object& called = fields::object_of(*function, fields::join(name, "function"));
    object own{{"type", "function"}}, target;
    for (const std::string_view key : {"name", "arguments"}) {
      const std::string part = fields::join(fields::join(name, "function"), key);
      const value* text = fields::given(called, key);
      if (text == nullptr) throw BadRequest(part, fmt::format("'{}' is missing", part));
      target[key] = fields::text_of(*text, part);
    }
    if (const value* id = fields::given(given, "id")) own["id"] = fields::text_of(*id, fields::join(name, "id"));
    own["function"] = std::move(target);
    read.push_back(std::move(own));
  }
  return read;
}

/// Calls' arguments as the values that their texts stand for, which is what templates of Transformers expect.
array with_parsed_arguments(array messages) {
  for (value& message : messages) {
    value* calls = message.as_object().if_contains("tool_calls");
    if (calls == nullptr) continue;
    for (value& call : calls->as_array()) {
      value& arguments = call.as_object().at("function").as_object().at("arguments");
      if (arguments.get_string().empty()) {
        arguments = object();
        continue;
      }
      try {
        arguments = parse_json(std::string(arguments.get_string()), "arguments", LargeIntegers::kept);
      } catch (const Error&) {
        continue;  // a model wrote it: what is no JSON stays a text
      }
    }
  }
  return messages;
}

/// Calls come without a content, which is null or an empty text, as templates like it.
array with_empty_contents(array messages) {
  for (value& message : messages) {
    value& content = message.as_object().at("content");
    if (content.is_null()) content = "";
  }
  return messages;
}

/// The name by which the template knows a role.
std::string role_of(const std::string& role, const JinjaTemplate& chat) {
  return role == "developer" && !chat.mentions("developer") ? "system" : role;
}

value field_of(std::string_view key, const value& field, const std::string& part) {
  if (key == "content") return content_of(field, part);
  if (key == "tool_calls") return calls_of(field, part);
  return value(fields::text_of(field, part));
}

array read_messages(const object& body, const JinjaTemplate& chat) {
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
      if (std::ranges::find(message_fields, std::string_view(key)) == std::end(message_fields)) {
        throw BadRequest(part, fmt::format("'{}' is not supported", part));
      }
      message[key] = field_of(key, field, part);
    }
    if (message.contains("tool_calls") && !message.contains("content")) message["content"] = nullptr;
    // One name is vLLM's, the other its older one, which templates look at.
    if (message.contains("reasoning") && !message.contains("reasoning_content")) {
      message["reasoning_content"] = message["reasoning"];
    }
    for (const std::string_view key : {"role", "content"}) {
      if (message.contains(key)) continue;
      throw BadRequest(fields::join(name, key), fmt::format("'{}' is missing", fields::join(name, key)));
    }
    message["role"] = role_of(fields::text_of(message["role"], fields::join(name, "role")), chat);
    messages.push_back(std::move(message));
  }
  return messages;
}

/// Templates differ in what they take of a call: the form of the first that a template renders is the one that it was
/// written for.
std::string render_messages(const JinjaTemplate& chat, object& variables, const array& messages) {
  const bool has_calls =
      std::ranges::any_of(messages, [](const value& one) { return one.as_object().contains("tool_calls"); });
  if (!has_calls) {
    variables["messages"] = messages;
    return chat.render(variables);
  }
  std::optional<Error> first;
  // Many templates show a message with an empty text as one without calls: that comes last.
  for (const bool empty : {false, true}) {
    const array own = empty ? with_empty_contents(messages) : messages;
    for (const bool parsed : {true, false}) {
      variables["messages"] = parsed ? with_parsed_arguments(own) : own;
      try {
        return chat.render(variables);
      } catch (const Error& error) {
        if (!first) first = error;
      }
    }
  }
  throw *first;
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
  const array messages = read_messages(body, *context.chat);
  const auto begun = std::chrono::steady_clock::now();
  try {
    std::string text = render_messages(*context.chat, variables, messages);
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
