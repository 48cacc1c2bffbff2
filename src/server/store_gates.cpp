#include "server/store_gates.h"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

namespace incipit {

VerifiedVersion verify_version(const Store& store, const std::string& model, int64_t version, Gateway& fresh,
                               Gateway* live, const GateOptions& options, std::string_view actor,
                               const std::function<void(std::string_view gate)>& about_to) {
  VerifiedVersion verified;
  verified.gates = run_gates(fresh, live, options, about_to);
  boost::json::object evidence;
  std::string failed, open;
  for (const GateResult& gate : verified.gates) {
    boost::json::object one{{"verdict", name_of(gate.verdict)}, {"found", gate.line}};
    if (!gate.evidence.empty()) one["evidence"] = gate.evidence;
    evidence[gate.gate] = std::move(one);
    std::string* const lines = gate.verdict == GateVerdict::failed         ? &failed
                               : gate.verdict == GateVerdict::inconclusive ? &open
                                                                           : nullptr;
    if (lines != nullptr) *lines += (lines->empty() ? "" : "; ") + gate.gate + ": " + gate.line;
  }
  verified.passed = failed.empty() && open.empty();
  verified.conclusive = !failed.empty() || open.empty();
  const std::string& reason = failed.empty() ? open : failed;
  verified.record = store.change(model, actor, [&](const ModelVersions& now) {
    return now.verify(version, verified.passed, verified.conclusive, reason, evidence);
  });
  return verified;
}

boost::json::object to_json(const VerifiedVersion& verified) {
  boost::json::array gates;
  for (const GateResult& gate : verified.gates) {
    gates.push_back(boost::json::object{
        {"gate", gate.gate}, {"verdict", name_of(gate.verdict)}, {"line", gate.line}, {"evidence", gate.evidence}});
  }
  return {{"record", to_json(verified.record)},
          {"verdict", verified.passed       ? "passed"
                      : verified.conclusive ? "failed"
                                            : "inconclusive"},
          {"gates", std::move(gates)}};
}

}  // namespace incipit
