// A version's gates, and what they make of it in its store.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "measure/gates.h"
#include "store/store.h"

namespace incipit {

struct VerifiedVersion {
  AuditRecord record;
  std::vector<GateResult> gates;
  bool passed = false, conclusive = false;
};

/// Runs the gates of a version that `fresh` has opened, beside the live one (null: there is none), and keeps what they
/// find: it is verified, rejected, or stays as it is where something cannot be told. Throws as run_gates and
/// Store::change.
VerifiedVersion verify_version(const Store& store, const std::string& model, int64_t version, Gateway& fresh,
                               Gateway* live, const GateOptions& options, std::string_view actor,
                               const std::function<void(std::string_view gate)>& about_to = {});

/// {"record", "verdict", "gates": [{"gate", "verdict", "line", "evidence"}]}
boost::json::object to_json(const VerifiedVersion& verified);

}  // namespace incipit
