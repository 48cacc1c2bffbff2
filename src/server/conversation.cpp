#include "server/conversation.h"

#include <boost/json.hpp>
#include <span>
#include <string>

#include "base/digest.h"

namespace incipit {
namespace {

std::string beginning_of_messages(const boost::json::array& messages) {
  std::string text;
  for (const boost::json::value& message : messages) {
    text += boost::json::serialize(message);
    const boost::json::object* one = message.if_object();
    const boost::json::value* role = one == nullptr ? nullptr : one->if_contains("role");
    if (role != nullptr && *role == "user") break;
  }
  return text;
}

std::string text_of(const boost::json::object& body) {
  constexpr size_t beginning = 256;
  for (const char* const name : {"prompt_cache_key", "user"}) {
    const boost::json::value* value = body.if_contains(name);
    if (value != nullptr && value->is_string() && !value->get_string().empty()) {
      return std::string(value->get_string());
    }
  }
  if (const boost::json::value* messages = body.if_contains("messages"); messages != nullptr && messages->is_array()) {
    return beginning_of_messages(messages->get_array());
  }
  const boost::json::value* prompt = body.if_contains("prompt");
  return prompt == nullptr ? std::string() : boost::json::serialize(*prompt).substr(0, beginning);
}

}  // namespace

uint64_t conversation_of(const boost::json::object& body, uint64_t caller) {
  const std::string text = text_of(body);
  Digester digester;
  digester.update(std::as_bytes(std::span(&caller, 1)));
  digester.update(std::as_bytes(std::span(text)));
  return digester.finish().low_bits();
}

}  // namespace incipit
