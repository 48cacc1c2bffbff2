// /v1/models and /v1/models/{id}. Source: the model object of the OpenAI API; root and max_model_len as vLLM has them.
#include <boost/json.hpp>

#include "server/endpoints/endpoints.h"

namespace incipit {
namespace {

boost::json::object model_object(const std::string& name, const ServedModel& model) {
  return {{"id", name},
          {"object", "model"},
          {"created", model.created},
          {"owned_by", "incipit"},
          {"root", model.full_name()},
          {"max_model_len", model.max_context}};
}

}  // namespace

void answer_models(const Asked& asked) {
  boost::json::array models;
  for (const ModelTable::Entry& entry : asked.services->models().entries()) {
    models.push_back(model_object(entry.name, *entry.model));
  }
  asked.call->respond(boost::json::object{{"object", "list"}, {"data", std::move(models)}});
}

void answer_model(const Asked& asked) {
  try {
    asked.call->respond(model_object(asked.rest, *require_model(asked.services->models(), asked.rest)));
  } catch (const ApiError& error) {
    asked.call->fail(error);
  }
}

}  // namespace incipit
