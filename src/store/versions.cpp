#include "store/versions.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/error.h"

namespace incipit {
namespace {

std::string version_name(int64_t number) { return fmt::format("version {}", number); }

AuditRecord::Change change_of(const StoredVersion& version, VersionState to) {
  return {version.number, version.digest, std::string(name_of(version.state)), to};
}

}  // namespace

const StoredVersion* ModelVersions::find(int64_t number) const {
  const auto found = std::ranges::lower_bound(versions_, number, {}, &StoredVersion::number);
  return found == versions_.end() || found->number != number ? nullptr : &*found;
}

const StoredVersion* ModelVersions::in_state(VersionState state) const {
  const auto found = std::ranges::find(versions_, state, &StoredVersion::state);
  return found == versions_.end() ? nullptr : &*found;
}

const StoredVersion& ModelVersions::require(int64_t number) const {
  const StoredVersion* version = find(number);
  if (version == nullptr) throw Error(version_name(number), "is not in the store", "see incipit store list");
  if (!version->has_file()) {
    throw Error(version_name(number), "was removed by gc", "add its engine again, which gives it a new number");
  }
  return *version;
}

// ---- rules

AuditRecord ModelVersions::add(std::string_view digest, std::string_view tag) const {
  for (const StoredVersion& version : versions_) {
    if (version.digest != digest) continue;
    const bool ended = version.state == VersionState::removed || version.state == VersionState::retired;
    if (ended) continue;
    throw Error(version_name(version.number), fmt::format("is this engine already; it is {}", name_of(version.state)),
                "promote that one, or build a new engine");
  }
  AuditRecord record;
  record.action = "add";
  record.tag = tag;
  record.changes.push_back({next_number(), std::string(digest), "", VersionState::staged});
  return record;
}

AuditRecord ModelVersions::verify(int64_t number, bool passed, bool conclusive, std::string reason,
                                  boost::json::object evidence) const {
  const StoredVersion& version = require(number);
  AuditRecord record;
  record.action = "verify";
  record.reason = std::move(reason);
  record.evidence = std::move(evidence);
  VersionState to = version.state;
  const bool is_open = version.state == VersionState::staged || version.state == VersionState::verified;
  if (is_open && conclusive) to = passed ? VersionState::verified : VersionState::rejected;
  record.changes.push_back(change_of(version, to));
  return record;
}

AuditRecord ModelVersions::promote(int64_t number, double percent, bool unverified) const {
  const StoredVersion& version = require(number);
  const bool proven = version.state == VersionState::verified || version.state == VersionState::canary ||
                      version.state == VersionState::standby;
  if (version.state == VersionState::live) throw Error(version_name(number), "is live already", "name another version");
  if (!proven && !unverified) {
    const bool can_be_verified = version.state == VersionState::staged;
    throw Error(version_name(number), fmt::format("is {}", name_of(version.state)),
                can_be_verified ? "verify it first, or promote it with --unverified" : "promote it with --unverified");
  }
  const StoredVersion* other = canary();
  if (other != nullptr && other != &version) {
    throw Error(version_name(number), fmt::format("cannot be promoted while version {} is a canary", other->number),
                "promote that one, or roll it back");
  }
  AuditRecord record;
  record.action = "promote";
  if (percent > 0) {
    if (live() == nullptr) {
      throw Error(version_name(number), "cannot be a canary where no version is live", "promote it without --canary");
    }
    record.canary_percent = percent;
    record.changes.push_back(change_of(version, VersionState::canary));
    return record;
  }
  if (const StoredVersion* old = standby(); old != nullptr && old != &version) {
    record.changes.push_back(change_of(*old, VersionState::retired));
  }
  if (const StoredVersion* old = live(); old != nullptr) {
    record.changes.push_back(change_of(*old, VersionState::standby));
  }
  record.changes.push_back(change_of(version, VersionState::live));
  return record;
}

AuditRecord ModelVersions::rollback(std::string reason, boost::json::object evidence) const {
  const StoredVersion* const version = canary() != nullptr ? canary() : live();
  if (version == nullptr) throw Error("rollback", "no version is live", "promote one: incipit store promote");
  return withdraw(version->number, std::move(reason), std::move(evidence));
}

AuditRecord ModelVersions::withdraw(int64_t number, std::string reason, boost::json::object evidence) const {
  AuditRecord record;
  record.action = "rollback";
  record.reason = std::move(reason);
  record.evidence = std::move(evidence);
  const StoredVersion &version = require(number), *back = standby();
  if (version.state != VersionState::canary && version.state != VersionState::live) return record;
  if (version.state == VersionState::live && back == nullptr) {
    throw Error("rollback", "no version stands by to be live again", "promote one by its number: incipit store list");
  }
  record.changes.push_back(change_of(version, VersionState::rolled_back));
  if (version.state == VersionState::live) record.changes.push_back(change_of(*back, VersionState::live));
  return record;
}

AuditRecord ModelVersions::collect() const {
  AuditRecord record;
  record.action = "gc";
  for (const StoredVersion& version : versions_) {
    const bool ended = version.state == VersionState::retired || version.state == VersionState::rejected ||
                       version.state == VersionState::rolled_back;
    if (ended) record.changes.push_back(change_of(version, VersionState::removed));
  }
  return record;
}

// ---- state

void ModelVersions::apply(const AuditRecord& record) {
  const std::string thing = fmt::format("audit record {}", record.number);
  const auto refuse = [&](std::string_view fault) {
    throw Error(thing, fault, "compare state.json with audit.jsonl; one of them was altered");
  };
  if (record.number != last_.number + 1) refuse("does not follow the one before");
  ModelVersions next = *this;
  for (const AuditRecord::Change& change : record.changes) {
    if (change.from.empty()) {
      if (change.version != next.next_number()) refuse("adds a version out of turn");
      next.versions_.push_back({change.version, change.digest, record.tag, change.to, {}, record.unix_time, {}});
      continue;
    }
    const auto found = std::ranges::find(next.versions_, change.version, &StoredVersion::number);
    if (found == next.versions_.end() || found->digest != change.digest || name_of(found->state) != change.from) {
      refuse("changes what was not so");
    }
    if (record.action == "verify") found->evidence = record.evidence;
    const bool found_wanting = change.to == VersionState::rejected || change.to == VersionState::rolled_back;
    if (name_of(change.to) == change.from) continue;
    if (change.to != VersionState::removed) found->reason = found_wanting ? record.reason : "";
    found->state = change.to;
    found->unix_time = record.unix_time;
  }
  next.canary_percent_ = next.canary() == nullptr    ? 0
                         : record.canary_percent > 0 ? record.canary_percent
                                                     : canary_percent_;
  next.last_ = record;
  try {
    next.check();
  } catch (const Error& error) {
    refuse(error.fault());
  }
  *this = std::move(next);
}

void ModelVersions::check() const {
  const auto count = [&](VersionState state) { return std::ranges::count(versions_, state, &StoredVersion::state); };
  for (const VersionState state : {VersionState::live, VersionState::canary, VersionState::standby}) {
    if (count(state) > 1) throw Error("versions", fmt::format("more than one is {}", name_of(state)), "");
  }
  // What was live once is followed by another that is.
  if (count(VersionState::live) == 0 && (count(VersionState::canary) != 0 || count(VersionState::standby) != 0)) {
    throw Error("versions", "none is live", "");
  }
  for (size_t i = 0; i < versions_.size(); ++i) {
    if (versions_[i].number != static_cast<int64_t>(i) + 1) throw Error("versions", "a number is missing", "");
  }
}

}  // namespace incipit
