// /metrics: what is counted of requests.
#include "server/metrics.h"

#include <algorithm>

#include "server/endpoints/endpoints.h"

namespace incipit {

void answer_metrics(const Asked& asked) {
  const std::vector<ModelTable::Entry> entries = asked.services->models().entries();
  std::vector<const ServedModel*> models;  // each once, by whatever names
  for (const ModelTable::Entry& entry : entries) {
    if (std::ranges::find(models, entry.model.get()) == models.end()) models.push_back(entry.model.get());
  }
  asked.call->respond_with({200, {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}}, metrics_text(models)});
}

}  // namespace incipit
