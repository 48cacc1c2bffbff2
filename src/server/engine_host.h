// How engines come to be served: opened on shared devices, warmed, with what their steps take.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "measure/step_costs_keeper.h"
#include "server/served_model.h"
#include "session/gateway.h"

namespace incipit {

struct HostOptions {
  int threads = 0;
  int32_t max_gap_ms = 50;   // that a stream waits for its next token while prompts are computed
  int32_t max_ttft_ms = 0;   // requests whose first token would come later are refused; 0: none is
  double regression = 1.5;   // so many times its baseline, a first token is late
  bool refuse_late = false;  // else it is logged
};

/// An engine that is open for requests.
struct HostedEngine {
  std::filesystem::path path;
  std::shared_ptr<Gateway> gateway;
  std::shared_ptr<const ServedModel> model;
  std::unique_ptr<StepCostsKeeper> costs;  // goes before the gateway
};

class EngineHost {
 public:
  explicit EngineHost(const HostOptions& options) : options_(options) {}

  /// Of any thread. `cache_bytes` 0: what the engine can use. It is not ready yet. Throws Error as Gateway does.
  HostedEngine open(const std::shared_ptr<const Engine>& engine, const std::string& name, int64_t cache_bytes,
                    int64_t version = 0);
  /// Runs each bucket once, and compares first tokens with the engine's baseline. Throws Error where they are late and
  /// that is to be refused.
  void make_ready(const HostedEngine& engine) const;
  /// Runs each bucket once, beside what others do on the device: times would say nothing.
  static void make_ready_beside_others(const HostedEngine& engine);

  const HostOptions& options() const { return options_; }

 private:
  const HostOptions options_;
  std::mutex mutex_;
  std::map<Backend, std::shared_ptr<DeviceLease>> leases_;  // under the mutex
};

}  // namespace incipit
