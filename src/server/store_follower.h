// Serves what a store says, as it changes: opens versions, proves them beside those that serve, and moves names to
// them.
//
//   store ──poll()──▶ what should serve ──prepare(), a thread of its own──▶ open, warm, prove ──poll()──▶ ModelTable
//
// A version that cannot be served is rolled back in the store, with the reason, and so is a canary that is found worse
// than the live version.
#pragma once

#include <array>
#include <atomic>
#include <boost/json/fwd.hpp>
#include <chrono>
#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/enumeration.h"
#include "measure/gates.h"
#include "server/engine_host.h"
#include "server/served_model.h"
#include "server/version_events.h"
#include "store/canary.h"
#include "store/store.h"

namespace incipit {

struct FollowOptions {
  int64_t cache_bytes = 0;  // of the caches of all models together; 0: what they can use
  CanaryRules canary;
  std::chrono::milliseconds canary_window{60'000};
};

/// Why a server rolls a version back.
enum class RollbackCause : uint8_t {
  unservable,  // it cannot be opened, or there is no room for it
  golden,      // it does not compute what it computed at its build
  canary       // it is worse than the live version
};
constexpr std::array<std::string_view, 3> rollback_cause_names{"unservable", "golden", "canary"};
constexpr const auto& enumeration_names(RollbackCause) { return rollback_cause_names; }

/// What is counted of a model's versions.
struct FollowCounts {
  std::atomic<uint64_t> swaps{0};
  std::array<std::atomic<uint64_t>, 3> rollbacks{};                             // by this server, by RollbackCause
  std::atomic<uint64_t> good_windows{0}, bad_windows{0}, undecided_windows{0};  // of canaries
  std::atomic<int64_t> live{0}, canary{0};                                      // versions; 0: none
};

class StoreFollower {
 public:
  /// `host` and `models` outlive it.
  StoreFollower(Store store, EngineHost& host, ModelTable& models, const FollowOptions& options);
  ~StoreFollower();
  StoreFollower(const StoreFollower&) = delete;
  StoreFollower& operator=(const StoreFollower&) = delete;

  /// Opens what is live, without warming it. Throws Error for a live version that cannot be opened, and where none is.
  void open_live();
  /// Warms what open_live() has opened. Throws Error as EngineHost::make_ready, where no other version stands by.
  void make_ready();
  /// To be called again and again by one thread, the one that called open_live(): waits for nothing that takes long.
  void poll();

  // ---- from any thread
  const Store& store() const { return store_; }
  std::shared_ptr<VersionEvents> events() const { return events_; }
  /// The models with versions, baselines and what is open of them.
  boost::json::array describe() const;
  /// Runs the gates of a version beside what is served, and keeps what they find in the store: {"record", "gates"}.
  /// Takes minutes. Throws Error for a version that is not there or cannot be opened.
  boost::json::object verify(const std::string& model, int64_t version, const GateOptions& options,
                             const std::string& actor);
  /// For /metrics.
  std::string metrics() const;

 private:
  struct Loaded {
    HostedEngine hosted;
    int64_t fixed_bytes = 0, cache_bytes = 0;
    bool in_processor_memory = true;
    bool has_cache = true;  // a version that stands by gives its memory back
  };
  struct Followed {
    uint64_t stamp = 0;
    ModelVersions wanted;
    int64_t cache_share = 0;  // bytes; 0: what the engine can use
    std::map<int64_t, Loaded> loaded;
    std::map<int64_t, std::string> failed;  // versions that could not be served, and why
    int64_t serving = 0, canary = 0;        // versions whose names have been set
    std::optional<CanaryVerdicts> verdicts;
    std::chrono::steady_clock::time_point window_begin;
    std::future<GateResult> probing;  // the canary's golden logits, once a window
    int64_t probed = 0;               // that canary's version
    std::shared_ptr<FollowCounts> counts;
  };
  struct Prepared {
    std::string model;
    int64_t version = 0;
    std::optional<Loaded> loaded;
    std::string fault;
    RollbackCause cause = RollbackCause::unservable;
    double seconds = 0;
  };

  void read_live(const std::string& model, Followed& followed);
  std::shared_ptr<FollowCounts> counts_of(const std::string& model);
  Loaded open(const std::string& model, const StoredVersion& version, int64_t cache_share);
  void check_memory(const Loaded& wanted) const;
  Prepared prepare(const std::string& model, const StoredVersion& version, int64_t cache_share,
                   const std::shared_ptr<Gateway>& old);
  void read_changes(const std::string& model, Followed& followed);
  void take_prepared();
  void prepare_missing(const std::string& model, Followed& followed);
  void point_names(const std::string& model, Followed& followed);
  void unload_unwanted(const std::string& model, Followed& followed);
  void watch_canary(const std::string& model, Followed& followed);
  void check_weights(const std::string& model, Followed& followed);
  bool probe_canary(const std::string& model, Followed& followed);
  void roll_back(const std::string& model, int64_t version, RollbackCause cause, const std::string& reason,
                 boost::json::object evidence = {});

  const Store store_;
  EngineHost& host_;
  ModelTable& models_;
  const FollowOptions options_;
  const std::shared_ptr<VersionEvents> events_ = std::make_shared<VersionEvents>();
  std::map<std::string, Followed> followed_;  // poll()'s, but for counts
  std::future<Prepared> preparing_;
  std::atomic<int64_t> used_memory_{0};  // bytes of the processor's memory, of all that is loaded

  std::mutex verifying_;
  mutable std::mutex mutex_;
  // Under the mutex: what other threads see.
  std::map<std::string, std::shared_ptr<FollowCounts>> counts_;
  std::map<std::string, std::map<int64_t, std::string>> open_;  // "serving", "canary", "standing by" by version
};

/// Where the server that follows a store can be administered, unless it was told otherwise.
std::filesystem::path administration_socket(const std::filesystem::path& store);

}  // namespace incipit
