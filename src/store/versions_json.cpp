// state.json and the lines of audit.jsonl.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <ctime>

#include "base/error.h"
#include "base/json_fields.h"
#include "store/versions.h"

namespace incipit {

namespace json = boost::json;

namespace {

/// "2026-11-29T10:15:00Z", for people; programs read unix_time.
std::string readable_time(int64_t unix_time) {
  const auto time = static_cast<std::time_t>(unix_time);
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

/// What state.json and audit.jsonl are made of.
class Fields : public JsonFields {
 public:
  Fields(const json::value& value, const std::string& thing) : JsonFields(value, thing, "restore it from a copy") {}

  /// 0 where it is not there.
  double percent(std::string_view name) const {
    const double percent = find(name) == nullptr ? 0 : number(name);
    if (!(percent >= 0) || percent > 100) refuse(name);
    return percent;
  }
  VersionState state(std::string_view name) const {
    const auto found = find_value<VersionState>(text(name));
    if (!found) refuse(name);
    return *found;
  }
  /// Part of a file's name.
  std::string digest(std::string_view name) const {
    std::string found = text(name);
    if (found.empty() || found.find_first_not_of("0123456789abcdef") != std::string::npos) refuse(name);
    return found;
  }
};

void add_unless_empty(json::object& object, std::string_view name, const std::string& text) {
  if (!text.empty()) object[name] = text;
}

void add_unless_empty(json::object& object, std::string_view name, const json::object& value) {
  if (!value.empty()) object[name] = value;
}

StoredVersion version_from(const json::value& value, const std::string& thing) {
  const Fields fields(value, thing);
  StoredVersion version;
  version.number = fields.count("version");
  version.digest = fields.digest("digest");
  version.tag = fields.optional_text("tag");
  version.state = fields.state("state");
  version.reason = fields.optional_text("reason");
  version.unix_time = fields.count("unix_time");
  version.evidence = fields.optional_object("evidence");
  return version;
}

}  // namespace

json::object to_json(const AuditRecord& record) {
  json::object object{{"record", record.number},
                      {"time", readable_time(record.unix_time)},
                      {"unix_time", record.unix_time},
                      {"actor", record.actor},
                      {"action", record.action}};
  json::array changes;
  for (const AuditRecord::Change& change : record.changes) {
    json::object one{{"version", change.version}, {"digest", change.digest}};
    add_unless_empty(one, "from", change.from);
    one["to"] = name_of(change.to);
    changes.push_back(std::move(one));
  }
  object["changes"] = std::move(changes);
  add_unless_empty(object, "reason", record.reason);
  add_unless_empty(object, "tag", record.tag);
  if (record.canary_percent > 0) object["canary_percent"] = record.canary_percent;
  add_unless_empty(object, "evidence", record.evidence);
  return object;
}

AuditRecord audit_record_from(const json::value& value, const std::string& thing) {
  const Fields fields(value, thing);
  AuditRecord record;
  record.number = fields.count("record");
  record.unix_time = fields.count("unix_time");
  record.actor = fields.text("actor");
  record.action = fields.text("action");
  record.reason = fields.optional_text("reason");
  record.tag = fields.optional_text("tag");
  record.canary_percent = fields.percent("canary_percent");
  record.evidence = fields.optional_object("evidence");
  for (const json::value& item : fields.list("changes")) {
    const Fields change(item, thing);
    record.changes.push_back(
        {change.count("version"), change.digest("digest"), change.optional_text("from"), change.state("to")});
  }
  return record;
}

json::object ModelVersions::to_json() const {
  json::array versions;
  for (const StoredVersion& version : versions_) {
    json::object one{{"version", version.number}, {"state", name_of(version.state)}, {"digest", version.digest}};
    add_unless_empty(one, "tag", version.tag);
    add_unless_empty(one, "reason", version.reason);
    one["time"] = readable_time(version.unix_time);
    one["unix_time"] = version.unix_time;
    add_unless_empty(one, "evidence", version.evidence);
    versions.push_back(std::move(one));
  }
  json::object object{{"versions", std::move(versions)}};
  if (canary_percent_ > 0) object["canary_percent"] = canary_percent_;
  if (last_.number > 0) object["last"] = incipit::to_json(last_);
  return object;
}

ModelVersions ModelVersions::from_json(const json::value& value, const std::string& thing) {
  const Fields fields(value, thing);
  ModelVersions model;
  for (const json::value& version : fields.list("versions")) model.versions_.push_back(version_from(version, thing));
  model.canary_percent_ = fields.percent("canary_percent");
  if (const json::object last = fields.optional_object("last"); !last.empty()) {
    model.last_ = audit_record_from(last, thing);
  }
  if (!model.versions_.empty() && model.last_.number == 0) throw Error(thing, "has versions and no last record");
  try {
    model.check();
  } catch (const Error& error) {
    throw Error(thing, error.fault(), "restore it from a copy");
  }
  return model;
}

}  // namespace incipit
