#include "server/engine_host.h"

#include <fmt/format.h>

#include <chrono>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "engine/engine.h"
#include "measure/readiness.h"

namespace incipit {

HostedEngine EngineHost::open(const std::shared_ptr<const Engine>& engine, const std::string& name, int64_t cache_bytes,
                              int64_t version) {
  constexpr auto before_ready = std::chrono::milliseconds(50);
  const int64_t max_gap_us = int64_t{1000} * options_.max_gap_ms;
  GatewayOptions options;
  options.session.threads = options_.threads;
  options.session.policy = {.max_gap_us = max_gap_us};
  options.session.executor.cache_bytes = cache_bytes;
  options.session.check_weights = true;
  options.most_first_token_us = int64_t{1000} * options_.max_ttft_ms;
  {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<DeviceLease>& lease = leases_[engine->target().backend];
    if (!lease) lease = std::make_shared<DeviceLease>(max_gap_us);
    options.lease = lease;
  }
  HostedEngine hosted;
  hosted.path = engine->path();
  hosted.gateway = std::make_shared<Gateway>(engine, options);
  hosted.model = served_model(name, hosted.gateway, version);
  hosted.costs = std::make_unique<StepCostsKeeper>(*hosted.gateway);
  hosted.costs->measure_for(before_ready);
  hosted.model->health->ready = false;
  return hosted;
}

void EngineHost::make_ready(const HostedEngine& engine) const {
  const std::vector<FirstTokenCheck> checks = warm(*engine.gateway, options_.regression);
  engine.model->health->baseline_missing = checks.empty();
  for (const FirstTokenCheck& check : checks) {
    if (!check.is_late(options_.regression)) continue;
    const Error late(engine.path.string(),
                     fmt::format("the first token of {} takes {:.1f} ms, and took {:.1f} when it was measured",
                                 check.tokens, check.ms, check.baseline_ms),
                     "see what else runs here, or measure anew with incipit bench");
    if (options_.refuse_late) throw late;
    log_warning("{}", late.what());
  }
  engine.model->health->ready = true;
}

void EngineHost::make_ready_beside_others(const HostedEngine& engine) {
  const std::vector<FirstTokenCheck> checks = warm(*engine.gateway, std::numeric_limits<double>::infinity());
  engine.model->health->baseline_missing = checks.empty();
  engine.model->health->ready = true;
}

}  // namespace incipit
