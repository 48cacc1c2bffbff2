#include "server/cache_explanation.h"

#include <boost/json.hpp>
#include <string_view>

namespace incipit {
namespace {

std::string_view word_of(PrefixExplanation::Reason reason) {
  using Reason = PrefixExplanation::Reason;
  switch (reason) {
    case Reason::last_token: return "last_token";
    case Reason::differs: return "differs";
    case Reason::ends: return "ends";
    case Reason::page: return "page_boundary";
    case Reason::evicted: return "evicted";
  }
  return "ends";
}

boost::json::value token_object(int32_t id, const Tokenizer* tokenizer) {
  if (id < 0) return nullptr;
  boost::json::object token{{"id", id}};
  if (tokenizer != nullptr) token["text"] = tokenizer->decode({&id, 1}, false);
  return token;
}

}  // namespace

boost::json::object explanation_object(const PrefixExplanation& explained, const Tokenizer* tokenizer,
                                       ExplainedSalts salts) {
  boost::json::object object{{"reused", explained.reused},
                             {"position", explained.position},
                             {"token", token_object(explained.own, tokenizer)},
                             {"held", token_object(explained.held, tokenizer)},
                             {"reason", word_of(explained.reason)}};
  if (salts == ExplainedSalts::all && explained.of_other_salt > explained.position) {
    object["reason"] = "salt";
    object["of_other_salt"] = explained.of_other_salt;
  }
  return object;
}

}  // namespace incipit
