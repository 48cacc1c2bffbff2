// What a StoreFollower tells other threads.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "engine/engine.h"
#include "server/store_follower.h"

namespace incipit {
namespace {

/// The last baseline of an engine; null where it has none, or its file cannot be read.
boost::json::value baseline_record(const std::filesystem::path& path) {
  try {
    Engine::OpenOptions any;
    any.check_target = false;
    const std::shared_ptr<const Engine> engine = Engine::open(path, any);
    boost::json::value found;
    for (const TrailerRecord& record : engine->trailer()) {
      if (record.kind == TrailerKind::baseline) found = parse_json(record.json, path.string());
    }
    return found;
  } catch (const Error&) {
    return nullptr;
  }
}

}  // namespace

std::filesystem::path administration_socket(const std::filesystem::path& store) { return store / "admin.sock"; }

boost::json::array StoreFollower::describe() const {
  boost::json::array models;
  for (const std::string& model : store_.models()) {
    const ModelVersions now = store_.read(model);
    std::map<int64_t, std::string> open;
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = open_.find(model); found != open_.end()) open = found->second;
    }
    boost::json::object described = now.to_json();
    described["model"] = model;
    for (boost::json::value& item : described["versions"].get_array()) {
      boost::json::object& one = item.get_object();
      const StoredVersion* version = now.find(one.at("version").get_int64());
      if (const auto at = open.find(version->number); at != open.end()) one["here"] = at->second;
      if (version->has_file()) one["baseline"] = baseline_record(store_.engine_of(*version));
    }
    models.push_back(std::move(described));
  }
  return models;
}

std::string StoreFollower::metrics() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  const auto metric = [&](std::string_view name, std::string_view type, std::string_view help, auto write) {
    text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
    for (const auto& [model, counts] : counts_) write(name, fmt::format("model_name=\"{}\"", model), *counts);
  };
  const auto number = [&](auto member) {
    return [&text, member](std::string_view name, const std::string& labels, const FollowCounts& counts) {
      text += fmt::format("{}{{{}}} {}\n", name, labels, (counts.*member).load());
    };
  };
  metric("incipit_live_version", "gauge", "The version that serves a model.", number(&FollowCounts::live));
  metric("incipit_canary_version", "gauge", "The version that serves some of its conversations; 0: none.",
         number(&FollowCounts::canary));
  metric("incipit_version_swaps_total", "counter", "How often a model's name went to another version.",
         number(&FollowCounts::swaps));
  metric("incipit_version_rollbacks_total", "counter",
         "Versions that this server has rolled back; the audit says more.",
         [&](std::string_view name, const std::string& labels, const FollowCounts& counts) {
           for (size_t cause = 0; cause < counts.rollbacks.size(); ++cause) {
             text += fmt::format("{}{{{},why=\"{}\"}} {}\n", name, labels, rollback_cause_names[cause],
                                 counts.rollbacks[cause].load());
           }
         });
  metric("incipit_canary_windows_total", "counter", "Windows in which a canary was compared with the live version.",
         [&](std::string_view name, const std::string& labels, const FollowCounts& counts) {
           const std::pair<std::string_view, const std::atomic<uint64_t>*> verdicts[] = {
               {"good", &counts.good_windows}, {"bad", &counts.bad_windows}, {"undecided", &counts.undecided_windows}};
           for (const auto& [verdict, count] : verdicts) {
             text += fmt::format("{}{{{},verdict=\"{}\"}} {}\n", name, labels, verdict, count->load());
           }
         });
  return text;
}

}  // namespace incipit
