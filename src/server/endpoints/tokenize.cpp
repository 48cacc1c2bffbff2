// /tokenize and /detokenize, as vLLM has them.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "openai/fields.h"
#include "server/endpoints/endpoints.h"
#include "text/tokenizer.h"

namespace incipit {
namespace {

using boost::json::object;

const Tokenizer& tokenizer_of(const ServedModel& model) {
  if (model.tokenizer == nullptr) throw BadRequest("model", "the engine has no tokenizer");
  return *model.tokenizer;
}

object tokenize(const ServedModel& model, const object& body) {
  const Tokenizer& tokenizer = tokenizer_of(model);
  std::vector<int32_t> ids;
  if (const boost::json::value* prompt = fields::given(body, "prompt")) {
    const bool add = fields::flag(body, "add_special_tokens", true);
    ids = tokenizer.encode(fields::text_of(*prompt, "prompt"), {.add_special_tokens = add});
  } else if (fields::given(body, "messages") != nullptr) {
    ids = read_chat_prompt(body, model.context());
  } else {
    throw BadRequest("prompt", "'prompt' is missing, and so is 'messages'");
  }
  object answer{{"count", ids.size()},
                {"max_model_len", model.max_context},
                {"tokens", boost::json::value_from(ids)},
                {"token_strs", nullptr}};
  if (fields::flag(body, "return_token_strs", false)) {
    boost::json::array texts;
    for (const int32_t id : ids) texts.emplace_back(tokenizer.decode({&id, 1}, false));
    answer["token_strs"] = std::move(texts);
  }
  return answer;
}

object detokenize(const ServedModel& model, const object& body) {
  const boost::json::value* tokens = fields::given(body, "tokens");
  if (tokens == nullptr) throw BadRequest("tokens", "'tokens' is missing");
  const Tokenizer& tokenizer = tokenizer_of(model);
  const std::vector<int32_t> ids = fields::ids_of(*tokens, "tokens");
  for (const int32_t id : ids) {
    if (static_cast<size_t>(id) >= tokenizer.vocab_size()) {
      throw BadRequest("tokens",
                       fmt::format("the vocabulary has {} tokens, and none is {}", tokenizer.vocab_size(), id));
    }
  }
  return {{"prompt", tokenizer.decode(ids, false)}};
}

/// Reads a body on a work thread and answers with what `make` makes of it.
void answer_with(const Asked& asked, object (*make)(const ServedModel&, const object&)) {
  asked.services->work().add([asked, make] {
    try {
      const boost::json::value body = parse_json(asked.call->request().body, "the body");
      const object& read = fields::object_of(body, "body");
      const boost::json::value* name = fields::given(read, "model");
      const auto model =
          require_model(asked.services->models(), name == nullptr ? "" : fields::text_of(*name, "model"));
      asked.call->respond(make(*model, read));
    } catch (const ApiError& error) {
      asked.call->fail(error);
    } catch (const BadRequest& fault) {
      asked.call->fail(api_error(fault));
    } catch (const Error& error) {
      asked.call->fail({400, error.what(), "invalid_request_error"});
    } catch (const std::exception& error) {
      asked.call->fail({500, error.what()});
    }
  });
}

}  // namespace

void answer_tokenize(const Asked& asked) { answer_with(asked, tokenize); }

void answer_detokenize(const Asked& asked) { answer_with(asked, detokenize); }

}  // namespace incipit
