// /admin/models, /admin/models/{model}/promote|rollback|verify and /admin/events: versions of a store that is served.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "openai/fields.h"
#include "server/endpoints/endpoints.h"
#include "server/store_follower.h"

namespace incipit {
namespace {

struct Change {
  std::string model, action;
  boost::json::object body;
  std::string actor;
};

Change change_of(const Asked& asked) {
  Change change;
  const size_t slash = asked.rest.rfind('/');
  if (slash != std::string::npos) {
    change.model = asked.rest.substr(0, slash);
    change.action = asked.rest.substr(slash + 1);
  }
  if (change.action != "promote" && change.action != "rollback" && change.action != "verify") {
    throw ApiError{404, fmt::format("there is no '{}'", asked.call->request().path), "invalid_request_error", "",
                   "not_found"};
  }
  if (const std::string& text = asked.call->request().body; !text.empty()) {
    boost::json::value parsed;
    try {
      parsed = parse_json(text, "the body");
    } catch (const Error& error) {
      throw BadRequest("", error.what());
    }
    change.body = fields::object_of(parsed, "body");
  }
  // A misspelt canary would be a promotion for all.
  constexpr std::string_view known[] = {"version", "canary", "unverified", "reason",
                                        "actor",   "slower", "text",       "accuracy"};
  for (const auto& field : change.body) {
    const std::string name(field.key());
    if (std::ranges::find(known, name) == std::end(known)) {
      throw BadRequest(name, fmt::format("there is no field '{}'", name));
    }
  }
  const boost::json::value* actor = fields::given(change.body, "actor");
  change.actor = actor == nullptr ? "administration" : fields::text_of(*actor, "actor") + " by administration";
  return change;
}

int64_t version_of(const Change& change) {
  const boost::json::value* version = fields::given(change.body, "version");
  if (version == nullptr) throw BadRequest("version", "'version' is missing");
  return fields::integer_of(*version, "version", 1, INT64_MAX);
}

std::string reason_of(const Change& change, std::string_view otherwise) {
  const boost::json::value* reason = fields::given(change.body, "reason");
  return reason == nullptr ? std::string(otherwise) : fields::text_of(*reason, "reason");
}

GateOptions gate_options(const Change& change) {
  GateOptions options;
  if (const boost::json::value* slower = fields::given(change.body, "slower")) {
    options.slower = fields::number_of(*slower, "slower", 0.001, 1e6);
  }
  if (const boost::json::value* text = fields::given(change.body, "text"))
    options.text = fields::text_of(*text, "text");
  if (const boost::json::value* accuracy = fields::given(change.body, "accuracy")) {
    options.accuracy = AccuracyBound::parse(fields::text_of(*accuracy, "accuracy"));
  }
  return options;
}

AuditRecord promote(const Store& store, const Change& change) {
  const boost::json::value* canary = fields::given(change.body, "canary");
  const double percent = canary == nullptr ? 0 : fields::number_of(*canary, "canary", 0.01, 99);
  const bool unverified = fields::flag(change.body, "unverified", false);
  const int64_t version = version_of(change);
  store.check_file(change.model, version);
  const std::string reason = reason_of(change, unverified ? "promoted unverified" : "");
  return store.change(change.model, change.actor, [&](const ModelVersions& now) {
    AuditRecord record = now.promote(version, percent, unverified);
    record.reason = reason;
    return record;
  });
}

AuditRecord roll_back(const Store& store, const Change& change) {
  const std::string reason = reason_of(change, "asked for");
  return store.change(change.model, change.actor, [&](const ModelVersions& now) { return now.rollback(reason); });
}

void carry_out(const Asked& asked) {
  try {
    const Change change = change_of(asked);
    StoreFollower& follower = *asked.services->follower();
    if (change.action == "verify") {
      asked.call->respond(follower.verify(change.model, version_of(change), gate_options(change), change.actor));
      return;
    }
    const AuditRecord record =
        change.action == "promote" ? promote(follower.store(), change) : roll_back(follower.store(), change);
    asked.call->respond(to_json(record));
  } catch (const ApiError& error) {
    asked.call->fail(error);
  } catch (const BadRequest& fault) {
    asked.call->fail(api_error(fault));
  } catch (const Error& error) {  // an unknown model or version, or what the rules refuse
    asked.call->fail({409, error.what(), "invalid_request_error", "", "refused"});
  } catch (const std::exception& error) {
    asked.call->fail({500, error.what()});
  }
}

}  // namespace

void answer_administered_models(const Asked& asked) {
  asked.services->work().add([asked] {
    try {
      asked.call->respond(boost::json::object{{"models", asked.services->follower()->describe()}});
    } catch (const std::exception& error) {
      asked.call->fail({500, error.what()});
    }
  });
}

void answer_administered_change(const Asked& asked) {
  asked.services->work().add([asked] { carry_out(asked); });
}

/// Behind the event that `last-event-id` names, or all that are remembered.
void answer_administered_events(const Asked& asked) {
  int64_t after = 0;
  if (const std::string* last = asked.call->request().header("last-event-id")) {
    std::from_chars(last->data(), last->data() + last->size(), after);
  }
  const auto wake = [call = std::weak_ptr(asked.call)] {
    if (const auto here = call.lock()) here->exchange().wake();
  };
  asked.call->stream(asked.services->follower()->events()->stream(after, asked.call, wake));
}

}  // namespace incipit
