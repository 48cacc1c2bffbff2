// Verifying a version beside what is served.
#include <boost/json.hpp>

#include "base/error.h"
#include "server/store_follower.h"
#include "server/store_gates.h"

namespace incipit {

boost::json::object StoreFollower::verify(const std::string& model, int64_t version, const GateOptions& options,
                                          const std::string& actor) {
  constexpr int64_t least_cache = 1;  // one sequence at full context
  const ModelVersions now = store_.read(model);
  const StoredVersion& stored = now.require(version);
  const std::shared_ptr<const ServedModel> serving = models_.find(model);
  const auto live = serving == nullptr ? nullptr : std::dynamic_pointer_cast<Gateway>(serving->source);
  const bool is_live = serving != nullptr && serving->version == version;
  const std::lock_guard one_at_a_time(verifying_);
  const Loaded fresh = open(model, stored, least_cache);
  const int64_t taken = fresh.in_processor_memory ? fresh.fixed_bytes + fresh.cache_bytes : 0;
  used_memory_ += taken;
  const std::shared_ptr<void> given_back(nullptr, [&](void*) { used_memory_ -= taken; });
  events_->add({{"event", "verifying"}, {"model", model}, {"version", version}});
  const VerifiedVersion verified =
      verify_version(store_, model, version, *fresh.hosted.gateway, is_live ? nullptr : live.get(), options, actor);
  events_->add({{"event", "verified"}, {"model", model}, {"version", version}, {"passed", verified.passed}});
  // What is found wrong while it serves goes back.
  for (const GateResult& gate : verified.gates) {
    const bool wrong = gate.verdict == GateVerdict::failed && (gate.gate == "weights" || gate.gate == "golden");
    if (wrong) roll_back(model, version, RollbackCause::golden, gate.gate + ": " + gate.line, gate.evidence);
  }
  return to_json(verified);
}

}  // namespace incipit
