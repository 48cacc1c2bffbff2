// Requests that the program makes of an engine which may serve others meanwhile: in the batch class, none of them
// cached.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "session/gateway.h"

namespace incipit {

/// A request takes only what others leave. It has a salt of its own, so that nothing of its prompt is cached; two of
/// one salt share what they have in common.
Request probe_request(const Gateway& gateway, std::span<const int32_t> prompt, int32_t new_tokens);

/// Draws that token always, whatever its logit. Log-probabilities are told as if it were not so.
void force_token(SamplingParameters& sampling, int32_t token);

/// What a request has yielded.
struct ProbeAnswer {
  using Clock = std::chrono::steady_clock;

  std::vector<SampledRow> rows;
  Clock::time_point begun;                   // just before it was submitted
  std::vector<Clock::time_point> times;      // of each row
  FinishReason finish = FinishReason::none;  // none: it was not over in time, and was cancelled
  std::string failure;
  bool is_whole() const { return finish == FinishReason::length || finish == FinishReason::stop; }
};

/// A request on its way.
class EngineProbe {
 public:
  /// Throws as Gateway::submit. The gateway outlives it.
  EngineProbe(Gateway& gateway, Request request);
  /// Cancels it.
  ~EngineProbe();
  EngineProbe(const EngineProbe&) = delete;
  EngineProbe& operator=(const EngineProbe&) = delete;

  /// Waits for its end, at most until then. Throws on Ctrl-C, and what Gateway::check throws.
  ProbeAnswer answer(ProbeAnswer::Clock::time_point until);

 private:
  struct Shared;
  Gateway& gateway_;
  std::shared_ptr<Shared> shared_;
  ProbeAnswer::Clock::time_point begun_;
  RequestId id_ = 0;
  bool over_ = false;
};

}  // namespace incipit
