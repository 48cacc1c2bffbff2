#include "measure/probe_request.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/progress.h"
#include "measure/measure.h"

namespace incipit {

Request probe_request(const Gateway& gateway, std::span<const int32_t> prompt, int32_t new_tokens) {
  Request request = measured_request(gateway, 0, new_tokens);
  request.prompt.assign(prompt.begin(), prompt.end());
  request.priority = SequenceTerms::batch_priority;
  return request;
}

void force_token(SamplingParameters& sampling, int32_t token) {
  constexpr float beyond_any_logit = 1e30F;
  sampling.biases = 1;
  sampling.bias_ids[0] = token;
  sampling.bias_values[0] = beyond_any_logit;
}

struct EngineProbe::Shared {
  std::mutex mutex;
  std::condition_variable ended;
  ProbeAnswer answer;
};

EngineProbe::EngineProbe(Gateway& gateway, Request request)
    : gateway_(gateway), shared_(std::make_shared<Shared>()), begun_(ProbeAnswer::Clock::now()) {
  id_ = gateway_.submit(std::move(request), [shared = shared_](const TokenEvent& event) {
    const auto now = ProbeAnswer::Clock::now();
    const std::lock_guard lock(shared->mutex);
    ProbeAnswer& answer = shared->answer;
    if (event.token.id >= 0) {
      answer.rows.push_back(event.token);
      answer.times.push_back(now);
    }
    if (event.finish == FinishReason::none) return;
    answer.finish = event.finish;
    answer.failure = event.failure;
    shared->ended.notify_all();
  });
}

EngineProbe::~EngineProbe() {
  if (!over_) gateway_.cancel(id_);
}

ProbeAnswer EngineProbe::answer(ProbeAnswer::Clock::time_point until) {
  constexpr auto between_looks = std::chrono::milliseconds(50);
  std::unique_lock lock(shared_->mutex);
  while (shared_->answer.finish == FinishReason::none) {
    const auto now = ProbeAnswer::Clock::now();
    if (now >= until) break;
    shared_->ended.wait_until(lock, std::min(until, now + between_looks));
    if (shared_->answer.finish == FinishReason::none) check_interrupt();
  }
  over_ = shared_->answer.finish != FinishReason::none;
  ProbeAnswer answer = shared_->answer;
  lock.unlock();
  answer.begun = begun_;
  if (answer.finish == FinishReason::failed) gateway_.check();
  return answer;
}

}  // namespace incipit
