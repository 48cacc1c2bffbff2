// /metrics: what is counted of requests.
#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/endpoints/endpoints.h"
#include "server/recorder.h"
#include "server/store_follower.h"

namespace incipit {

void answer_metrics(const Asked& asked) {
  const std::vector<ModelTable::Entry> entries = asked.services->models().entries();
  // Each once, by its own name; while a name goes from one engine to another, an old one's may be the new one's.
  std::vector<LabelledModel> models;
  for (const ModelTable::Entry& entry : entries) {
    if (std::ranges::find(models, entry.model.get(), &LabelledModel::model) != models.end()) continue;
    const bool taken = std::ranges::any_of(models, [&](const LabelledModel& other) {
      return other.label == entry.model->name && other.model->version == entry.model->version;
    });
    models.push_back({taken ? entry.name : entry.model->name, entry.model.get()});
  }
  std::string text = metrics_text(models);
  if (const StoreFollower* follower = asked.services->follower()) text += follower->metrics();
  if (const Recorder* recorder = asked.services->recorder()) {
    text += fmt::format(
        "# HELP incipit_record_lost_total Requests that are not in the record: the disk was too slow or full.\n"
        "# TYPE incipit_record_lost_total counter\nincipit_record_lost_total {}\n",
        recorder->lost());
  }
  asked.call->respond_with({200, {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}}, std::move(text)});
}

}  // namespace incipit
