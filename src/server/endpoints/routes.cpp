#include "server/endpoints/endpoints.h"

namespace incipit {

std::span<const Route> client_routes() {
  static constexpr Route table[] = {
      {"GET", "/health", Guard::open, answer_health, true},
      {"GET", "/health/live", Guard::open, answer_live, true},
      {"GET", "/health/ready", Guard::open, answer_ready, true},
      {"GET", "/version", Guard::open, answer_version},
      {"GET", "/metrics", Guard::open, answer_metrics, true},
      {"GET", "/v1/models", Guard::keyed, answer_models},
      {"GET", "/v1/models/", Guard::keyed, answer_model},
      {"POST", "/v1/completions", Guard::keyed, answer_completions},
      {"POST", "/v1/chat/completions", Guard::keyed, answer_chat_completions},
      {"POST", "/tokenize", Guard::keyed, answer_tokenize},
      {"POST", "/detokenize", Guard::keyed, answer_detokenize},
  };
  return table;
}

std::span<const Route> administration_routes() {
  static constexpr Route table[] = {
      {"GET", "/admin/models", Guard::keyed, answer_administered_models},
      {"POST", "/admin/models/", Guard::keyed, answer_administered_change},
      {"GET", "/admin/events", Guard::keyed, answer_administered_events},
      {"GET", "/health/live", Guard::open, answer_live},
  };
  return table;
}

}  // namespace incipit
