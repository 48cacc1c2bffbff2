// What a store knows of a model's versions, and the rules by which they change. Pure: no files, no clock.
#pragma once

#include <array>
#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/enumeration.h"

namespace incipit {

/// staged → verified → canary → live → standby → retired → removed; rejected and rolled_back end a version that was
/// found wanting. `removed`: its file is gone, its number is not given again.
enum class VersionState : uint8_t { staged, verified, canary, live, standby, retired, rejected, rolled_back, removed };
constexpr std::array<std::string_view, 9> version_state_names{"staged",  "verified", "canary",      "live",   "standby",
                                                              "retired", "rejected", "rolled-back", "removed"};
constexpr const auto& enumeration_names(VersionState) { return version_state_names; }

struct StoredVersion {
  int64_t number = 0;
  std::string digest;  // of the engine's body, in hex
  std::string tag;     // what `build --tag` called it; may be empty
  VersionState state = VersionState::staged;
  std::string reason;                 // why it is rejected or was rolled back
  int64_t unix_time = 0;              // of the last change of its state
  boost::json::object evidence = {};  // of its last verification; empty where there was none

  bool has_file() const { return state != VersionState::removed; }
  bool operator==(const StoredVersion&) const = default;
};

/// One line of a model's audit: who did what, and which versions changed by it.
struct AuditRecord {
  struct Change {
    int64_t version = 0;
    std::string digest;
    std::string from;  // a state's name; empty: it was not there
    VersionState to = VersionState::staged;
    bool operator==(const Change&) const = default;
  };

  int64_t number = 0;  // counts from 1
  int64_t unix_time = 0;
  std::string actor;
  std::string action;  // "add", "verify", "promote", "rollback", "gc"
  std::string reason, tag;
  double canary_percent = 0;  // of requests, where it makes a canary
  std::vector<Change> changes;
  boost::json::object evidence = {};

  bool operator==(const AuditRecord&) const = default;
};

/// A model's versions. The rules below make records; apply() does what one says, so that an audit replays to the state.
class ModelVersions {
 public:
  const std::vector<StoredVersion>& versions() const { return versions_; }
  int64_t records() const { return last_.number; }
  /// The last record that was applied; number 0: none was.
  const AuditRecord& last() const { return last_; }
  double canary_percent() const { return canary_percent_; }

  /// Null where there is none.
  const StoredVersion* find(int64_t number) const;
  /// Throws Error for a version that is not there, or whose engine was removed.
  const StoredVersion& require(int64_t number) const;
  const StoredVersion* live() const { return in_state(VersionState::live); }
  const StoredVersion* canary() const { return in_state(VersionState::canary); }
  const StoredVersion* standby() const { return in_state(VersionState::standby); }
  int64_t next_number() const { return versions_.empty() ? 1 : versions_.back().number + 1; }

  // ---- the rules: each says what an action changes, or throws Error saying why it may not be
  AuditRecord add(std::string_view digest, std::string_view tag) const;
  /// What gates found of it: a staged version is verified or rejected; of others only the evidence changes. Without a
  /// verdict (`conclusive` false) it stays as it is.
  AuditRecord verify(int64_t number, bool passed, bool conclusive, std::string reason,
                     boost::json::object evidence) const;
  /// Makes it live, and the live one standby; or a canary for `percent` of the requests, above 0. `unverified`:
  /// whatever its gates said.
  AuditRecord promote(int64_t number, double percent, bool unverified) const;
  /// Withdraws the canary, where there is one; else the live version.
  AuditRecord rollback(std::string reason, boost::json::object evidence = {}) const;
  /// Rolls that version back: behind the live one the standby is live again. Nothing changes where it does not serve.
  AuditRecord withdraw(int64_t number, std::string reason, boost::json::object evidence = {}) const;
  /// Of versions that no one will ask for again, the files may go.
  AuditRecord collect() const;

  /// Throws Error for a record that does not follow, or would leave two versions live.
  void apply(const AuditRecord& record);

  boost::json::object to_json() const;
  /// Throws Error naming `thing` for what to_json() did not write.
  static ModelVersions from_json(const boost::json::value& value, const std::string& thing);

 private:
  const StoredVersion* in_state(VersionState state) const;
  void check() const;

  std::vector<StoredVersion> versions_;  // by number
  AuditRecord last_;
  double canary_percent_ = 0;
};

boost::json::object to_json(const AuditRecord& record);
/// Throws Error naming `thing`.
AuditRecord audit_record_from(const boost::json::value& value, const std::string& thing);

}  // namespace incipit
