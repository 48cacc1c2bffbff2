// The endpoints, one a file: each answers its calls, on the server's thread, and leaves to the work threads what
// takes time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "server/call.h"
#include "server/services.h"

namespace incipit {

/// What an endpoint is given.
struct Asked {
  std::shared_ptr<Services> services;
  std::shared_ptr<Call> call;
  std::string rest;  // what follows the route's path, where that ends in a slash
};
using Endpoint = void (*)(const Asked& asked);

/// Who may call.
enum class Guard : uint8_t {
  open,   // anybody: it says nothing of prompts or answers
  keyed,  // who has a key, where the server has any
};

struct Route {
  std::string_view method, path;
  Guard guard;
  Endpoint endpoint;
  bool is_probe = false;  // answered at once, by a thread that no other request occupies
};

std::span<const Route> client_routes();
/// Of a socket or port of their own.
std::span<const Route> administration_routes();

void answer_health(const Asked& asked);
void answer_live(const Asked& asked);
void answer_ready(const Asked& asked);
void answer_version(const Asked& asked);
void answer_metrics(const Asked& asked);
void answer_models(const Asked& asked);
void answer_model(const Asked& asked);
void answer_completions(const Asked& asked);
void answer_chat_completions(const Asked& asked);
void answer_tokenize(const Asked& asked);
void answer_detokenize(const Asked& asked);
void answer_administered_models(const Asked& asked);
void answer_administered_change(const Asked& asked);
void answer_administered_events(const Asked& asked);

}  // namespace incipit
