// /health, /health/live, /health/ready and /version: nothing that a request does keeps them waiting.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/error.h"
#include "base/version.h"
#include "server/endpoints/endpoints.h"

namespace incipit {
namespace {

void answer_sound(const Asked& asked, bool ready) {
  std::string warming;
  try {
    for (const ModelTable::Entry& entry : asked.services->models().entries()) {
      entry.model->source->check();
      if (!entry.model->health->ready) warming = entry.name;
    }
  } catch (const Error& error) {
    asked.call->fail({503, error.what(), "server_error", "", "unhealthy"});
    return;
  }
  if (ready && asked.services->draining()) {
    asked.call->fail({503, "the server is stopping", "server_error", "", "stopping"});
    return;
  }
  if (ready && !warming.empty()) {
    asked.call->fail({503, fmt::format("'{}' is being warmed", warming), "server_error", "", "warming", 1000});
    return;
  }
  asked.call->respond(boost::json::object{{"status", "ok"}});
}

}  // namespace

/// Every engine can still run what it is given.
void answer_health(const Asked& asked) { answer_sound(asked, false); }

/// The process answers.
void answer_live(const Asked& asked) { asked.call->respond(boost::json::object{{"status", "ok"}}); }

/// New requests are taken, and their first tokens come in time.
void answer_ready(const Asked& asked) { answer_sound(asked, true); }

void answer_version(const Asked& asked) { asked.call->respond(boost::json::object{{"version", version()}}); }

}  // namespace incipit
