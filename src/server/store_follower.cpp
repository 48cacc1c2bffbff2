#include "server/store_follower.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/machine_memory.h"
#include "base/progress.h"
#include "base/readable.h"
#include "engine/engine.h"
#include "runtime/executor.h"
#include "server/memory_shares.h"
#include "server/warm_prefixes.h"

namespace incipit {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view canary_suffix = "@canary";

std::string version_name(const std::string& model, int64_t version) { return fmt::format("{}@{}", model, version); }

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

std::string readable(int64_t bytes) { return readable_bytes(static_cast<double>(bytes)); }

MemoryNeed memory_need(const Engine& engine) {
  const Executor::Needs needs = Executor::needs(engine);
  return {needs.memory.weights + needs.memory.arena + needs.memory.state, needs.memory.pages, needs.least_pages,
          engine.target().backend != Backend::cuda};
}

/// Bytes of cache for a version of each model, such that the version that replaces it has room beside it; 0 where the
/// engine's own limit is exact.
std::vector<int64_t> shares_for_two_each(const std::vector<MemoryNeed>& needs, int64_t for_caches, int64_t machine) {
  std::vector<MemoryNeed> twice;
  for (const MemoryNeed& need : needs) twice.insert(twice.end(), 2, need);
  const std::vector<int64_t> shares = share_memory(twice, 2 * for_caches, machine);
  std::vector<int64_t> result;
  for (size_t i = 0; i < needs.size(); ++i) result.push_back(shares[2 * i] == needs[i].cache ? 0 : shares[2 * i]);
  return result;
}

}  // namespace

StoreFollower::StoreFollower(Store store, EngineHost& host, ModelTable& models, const FollowOptions& options)
    : store_(std::move(store)), host_(host), models_(models), options_(options) {}

StoreFollower::~StoreFollower() {
  events_->close();
  if (preparing_.valid()) preparing_.wait();  // it uses what goes now
}

// ---- opening

StoreFollower::Loaded StoreFollower::open(const std::string& model, const StoredVersion& version, int64_t cache_share) {
  const std::shared_ptr<const Engine> engine = Engine::open(store_.engine_of(version));
  const MemoryNeed need = memory_need(*engine);
  Loaded loaded;
  loaded.fixed_bytes = need.fixed;
  loaded.cache_bytes = cache_share == 0 ? need.cache : std::min(need.cache, std::max(cache_share, need.least_cache));
  loaded.in_processor_memory = need.on_processor;
  check_memory(loaded);
  const bool is_whole = loaded.cache_bytes == need.cache;  // the engine's own limit is exact
  loaded.hosted = host_.open(engine, model, is_whole ? 0 : loaded.cache_bytes, version.number);
  return loaded;
}

void StoreFollower::check_memory(const Loaded& wanted) const {
  if (!wanted.in_processor_memory) return;  // a GPU refuses what it has no room for
  const int64_t sum = wanted.fixed_bytes + wanted.cache_bytes, used = used_memory_;
  if (used + sum <= machine_memory()) return;
  throw Error("memory",
              fmt::format("{} beside the {} that are in use are more than the {} of this machine", readable(sum),
                          readable(used), readable(machine_memory())),
              "serve with a smaller --memory, or build with a smaller --max-context or --max-batch");
}

void StoreFollower::open_live() {
  std::vector<std::string> names;
  std::vector<MemoryNeed> needs;
  for (const std::string& model : store_.models()) {
    Followed& followed = followed_[model];
    followed.counts = counts_of(model);
    try {
      read_live(model, followed);
      if (followed.wanted.live() == nullptr) continue;
      needs.push_back(memory_need(*Engine::open(store_.engine_of(*followed.wanted.live()))));
      names.push_back(model);
    } catch (const Error& error) {  // other models can be served all the same
      log_error("{} is not served: {}", model, error.what());
    }
  }
  if (names.empty()) {
    throw Error(store_.path().string(), "has no version that is live and can be opened",
                "see incipit store list, and promote one");
  }
  const std::vector<int64_t> shares = shares_for_two_each(needs, options_.cache_bytes, machine_memory());
  for (size_t i = 0; i < names.size(); ++i) {
    Followed& followed = followed_[names[i]];
    followed.cache_share = shares[i];
    const int64_t number = followed.wanted.live()->number;
    Loaded loaded = open(names[i], *followed.wanted.live(), shares[i]);
    if (loaded.in_processor_memory) used_memory_ += loaded.fixed_bytes + loaded.cache_bytes;
    followed.loaded.emplace(number, std::move(loaded));
    point_names(names[i], followed);
  }
}

/// What is live; where that cannot be opened, and another version stands by, that one from now on.
void StoreFollower::read_live(const std::string& model, Followed& followed) {
  followed.wanted = store_.read(model);
  if (const StoredVersion* live = followed.wanted.live(); live != nullptr && followed.wanted.standby() != nullptr) {
    const int64_t number = live->number;
    try {
      Engine::open(store_.engine_of(*live));
    } catch (const Error& error) {
      roll_back(model, number, RollbackCause::unservable, fmt::format("cannot be served: {}", error.what()));
      followed.wanted = store_.read(model);
    }
  }
  followed.stamp = store_.stamp(model);
}

std::shared_ptr<FollowCounts> StoreFollower::counts_of(const std::string& model) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<FollowCounts>& counts = counts_[model];
  if (!counts) counts = std::make_shared<FollowCounts>();
  return counts;
}

void StoreFollower::make_ready() {
  for (auto& [model, followed] : followed_) {
    for (const auto& [number, loaded] : followed.loaded) {
      try {
        host_.make_ready(loaded.hosted);
      } catch (const Error& error) {
        if (interrupted() || followed.wanted.standby() == nullptr) throw;
        followed.failed[number] = error.what();
        roll_back(model, number, RollbackCause::unservable, fmt::format("cannot be served: {}", error.what()));
      }
    }
  }
}

/// On a thread of its own.
StoreFollower::Prepared StoreFollower::prepare(const std::string& model, const StoredVersion& version,
                                               int64_t cache_share, const std::shared_ptr<Gateway>& old) {
  const Clock::time_point begin = Clock::now();
  Prepared prepared;
  prepared.model = model;
  prepared.version = version.number;
  try {
    Loaded loaded = open(model, version, cache_share);
    EngineHost::make_ready_beside_others(loaded.hosted);
    const GateResult golden = golden_gate(*loaded.hosted.gateway);
    if (golden.verdict == GateVerdict::failed) {
      prepared.cause = RollbackCause::golden;
      throw Error("golden logits", golden.line);
    }
    if (old) warm_prefixes(*old, *loaded.hosted.gateway);
    prepared.loaded = std::move(loaded);
  } catch (const std::exception& error) {
    prepared.fault = error.what();
  }
  prepared.seconds = seconds_since(begin);
  return prepared;
}

// ---- following

void StoreFollower::poll() {
  take_prepared();
  for (const std::string& model : store_.models()) {
    Followed& followed = followed_[model];
    followed.counts = counts_of(model);
    read_changes(model, followed);
    prepare_missing(model, followed);
    point_names(model, followed);
    unload_unwanted(model, followed);
    watch_canary(model, followed);
    check_weights(model, followed);
    if (const auto live = followed.loaded.find(followed.serving); live != followed.loaded.end()) {
      live->second.hosted.costs->measure_step();
    }
  }
  models_.free_unused();
}

void StoreFollower::read_changes(const std::string& model, Followed& followed) {
  const uint64_t stamp = store_.stamp(model);
  if (stamp == followed.stamp) return;
  followed.stamp = stamp;
  try {
    followed.wanted = store_.read(model);
  } catch (const Error& error) {
    log_error("{}; what is served stays as it is", error.what());
    return;
  }
  events_->add({{"event", "record"}, {"model", model}, {"record", to_json(followed.wanted.last())}});
  // What could not be served may be promoted anew.
  if (followed.wanted.last().action == "promote") {
    for (const AuditRecord::Change& change : followed.wanted.last().changes) followed.failed.erase(change.version);
  }
}

void StoreFollower::take_prepared() {
  if (!preparing_.valid() || preparing_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return;
  Prepared prepared = preparing_.get();
  Followed& followed = followed_[prepared.model];
  boost::json::object event{{"event", prepared.loaded ? "prepared" : "refused"},
                            {"model", prepared.model},
                            {"version", prepared.version},
                            {"seconds", prepared.seconds}};
  if (prepared.loaded) {
    if (prepared.loaded->in_processor_memory) {
      used_memory_ += prepared.loaded->fixed_bytes + prepared.loaded->cache_bytes;
    }
    followed.loaded.insert_or_assign(prepared.version, std::move(*prepared.loaded));
  } else if (!interrupted()) {
    event["reason"] = prepared.fault;
    log_error("{} cannot be served: {}", version_name(prepared.model, prepared.version), prepared.fault);
    followed.failed[prepared.version] = prepared.fault;
    const StoredVersion* version = followed.wanted.find(prepared.version);
    const bool stands_by = version != nullptr && version->state == VersionState::standby;
    if (!stands_by) roll_back(prepared.model, prepared.version, prepared.cause, "cannot be served: " + prepared.fault);
  }
  events_->add(std::move(event));
}

/// One at a time: the live version first, the one that stands by last.
void StoreFollower::prepare_missing(const std::string& model, Followed& followed) {
  if (preparing_.valid() || interrupted()) return;
  for (const StoredVersion* version : {followed.wanted.live(), followed.wanted.canary(), followed.wanted.standby()}) {
    if (version == nullptr || followed.loaded.contains(version->number) || followed.failed.contains(version->number)) {
      continue;
    }
    const auto serving = followed.loaded.find(followed.serving);
    std::shared_ptr<Gateway> old = serving == followed.loaded.end() ? nullptr : serving->second.hosted.gateway;
    if (version->state == VersionState::standby) old = nullptr;  // it has no cache
    preparing_ = std::async(std::launch::async, [this, model, version = *version, share = followed.cache_share,
                                                 old = std::move(old)] { return prepare(model, version, share, old); });
    events_->add({{"event", "preparing"}, {"model", model}, {"version", version->number}});
    return;
  }
}

void StoreFollower::point_names(const std::string& model, Followed& followed) {
  const auto loaded_of = [&](const StoredVersion* version) {
    return version == nullptr ? followed.loaded.end() : followed.loaded.find(version->number);
  };
  const auto live = loaded_of(followed.wanted.live()), canary = loaded_of(followed.wanted.canary());
  if (live != followed.loaded.end() && followed.serving != live->first) {
    Loaded& loaded = live->second;
    models_.set(model, loaded.hosted.model);
    if (!std::exchange(loaded.has_cache, true) && loaded.in_processor_memory) used_memory_ += loaded.cache_bytes;
    const int64_t from = std::exchange(followed.serving, live->first);
    events_->add({{"event", "swap"}, {"model", model}, {"from", from}, {"to", live->first}});
    log_info("{} is served by version {}", model, live->first);
    if (from != 0) ++followed.counts->swaps;
    followed.counts->live = live->first;
  }
  const int64_t wanted = canary == followed.loaded.end() ? 0 : canary->first;
  if (wanted != 0) models_.set_canary(model, canary->second.hosted.model, followed.wanted.canary_percent());
  if (wanted != followed.canary) {
    if (wanted == 0) models_.set_canary(model, nullptr, 0);
    if (wanted == 0) models_.remove(model + std::string(canary_suffix));
    if (wanted != 0) models_.set(model + std::string(canary_suffix), canary->second.hosted.model);
    followed.canary = wanted;
    followed.counts->canary = wanted;
    followed.verdicts.reset();
  }
  for (const auto& [number, loaded] : followed.loaded) {
    const std::string name = version_name(model, number);
    if (models_.find(name) != loaded.hosted.model) models_.set(name, loaded.hosted.model);
  }
  const std::lock_guard lock(mutex_);
  std::map<int64_t, std::string>& open = open_[model];
  open.clear();
  for (const auto& [number, loaded] : followed.loaded) {
    open[number] = number == followed.serving ? "serving" : number == followed.canary ? "canary" : "standing by";
  }
}

void StoreFollower::unload_unwanted(const std::string& model, Followed& followed) {
  for (auto at = followed.loaded.begin(); at != followed.loaded.end();) {
    auto& [number, loaded] = *at;
    const StoredVersion* version = followed.wanted.find(number);
    const VersionState state = version == nullptr ? VersionState::removed : version->state;
    const bool stands_by = state == VersionState::standby && number != followed.serving;
    if (stands_by && loaded.has_cache) {
      bool dropped = false;
      loaded.hosted.gateway->run_if_idle([&](Session& session) { dropped = session.drop_prefixes(); });
      loaded.has_cache = !dropped;
      if (dropped && loaded.in_processor_memory) used_memory_ -= loaded.cache_bytes;
    }
    const bool wanted =
        stands_by || number == followed.serving || state == VersionState::live || state == VersionState::canary;
    if (wanted) {
      ++at;
      continue;
    }
    if (loaded.in_processor_memory) used_memory_ -= loaded.fixed_bytes + (loaded.has_cache ? loaded.cache_bytes : 0);
    models_.remove(version_name(model, number));
    at = followed.loaded.erase(at);
  }
}

// ---- canary

void StoreFollower::watch_canary(const std::string& model, Followed& followed) {
  const auto live = followed.loaded.find(followed.serving), canary = followed.loaded.find(followed.canary);
  if (live == followed.loaded.end() || canary == followed.loaded.end()) {
    if (live != followed.loaded.end()) live->second.hosted.model->window->watch(false);
    return;
  }
  const auto begin_probe = [&](const std::shared_ptr<Gateway>& gateway) {
    if (followed.probing.valid()) return;  // the last one is not at its end
    followed.probed = followed.canary;
    followed.probing = std::async(std::launch::async, [gateway] { return golden_gate(*gateway); });
  };
  VersionWindow &of_live = *live->second.hosted.model->window, &of_canary = *canary->second.hosted.model->window;
  if (probe_canary(model, followed)) return;
  if (!followed.verdicts) {
    followed.verdicts.emplace(options_.canary.bad_windows);
    begin_probe(canary->second.hosted.gateway);
    followed.window_begin = Clock::now();
    for (VersionWindow* window : {&of_live, &of_canary}) {
      window->watch(true);
      window->take();
    }
  }
  if (Clock::now() - followed.window_begin < options_.canary_window) return;
  followed.window_begin = Clock::now();
  begin_probe(canary->second.hosted.gateway);
  WindowJudgement found = judge(of_live.take(), of_canary.take(), options_.canary);
  constexpr std::array<std::string_view, 3> verdict_names{"too few requests", "good", "bad"};
  FollowCounts& counts = *followed.counts;
  ++(found.verdict == WindowVerdict::good  ? counts.good_windows
     : found.verdict == WindowVerdict::bad ? counts.bad_windows
                                           : counts.undecided_windows);
  events_->add({{"event", "canary window"},
                {"model", model},
                {"version", followed.canary},
                {"verdict", verdict_names[static_cast<size_t>(found.verdict)]},
                {"reason", found.reason},
                {"evidence", found.evidence}});
  if (followed.verdicts->add(found.verdict)) {
    roll_back(model, followed.canary, RollbackCause::canary, found.reason, std::move(found.evidence));
  }
}

/// A thread checks the weights of whatever serves behind its first tokens.
void StoreFollower::check_weights(const std::string& model, Followed& followed) {
  for (const auto& [number, loaded] : followed.loaded) {
    if (followed.failed.contains(number)) continue;
    try {
      loaded.hosted.gateway->check();
    } catch (const Error& error) {
      followed.failed[number] = error.what();
      log_error("{}: {}", version_name(model, number), error.what());
      roll_back(model, number, RollbackCause::unservable, error.what());
    }
  }
}

/// Whether its golden logits have been found wrong: then it is rolled back at once.
bool StoreFollower::probe_canary(const std::string& model, Followed& followed) {
  if (!followed.probing.valid() || followed.probing.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    return false;
  }
  try {
    GateResult golden = followed.probing.get();
    if (golden.verdict != GateVerdict::failed) return false;
    roll_back(model, followed.probed, RollbackCause::golden, "golden logits: " + golden.line,
              std::move(golden.evidence));
    return true;
  } catch (const Error& error) {
    if (!interrupted()) log_warning("{}'s golden logits: {}", version_name(model, followed.probed), error.what());
    return false;
  }
}

void StoreFollower::roll_back(const std::string& model, int64_t version, RollbackCause cause, const std::string& reason,
                              boost::json::object evidence) {
  try {
    const AuditRecord record = store_.change(model, "incipit serve, " + current_actor(), [&](const ModelVersions& now) {
      return now.withdraw(version, reason, std::move(evidence));
    });
    if (record.changes.empty()) return;
    ++counts_of(model)->rollbacks[static_cast<size_t>(cause)];
    log_warning("{} is rolled back: {}", version_name(model, version), reason);
  } catch (const Error& error) {
    log_error("{} cannot be rolled back: {}", version_name(model, version), error.what());
  }
}

}  // namespace incipit
