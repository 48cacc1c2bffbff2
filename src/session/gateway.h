// The door to an engine for any thread: one thread of the gateway's own steps the session, and nobody else touches it.
//
//   caller ──submit, cancel──▶ commands ──▶ the engine's thread: Session ──▶ listener ──▶ TokenStream ──▶ caller
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "session/device_lease.h"
#include "session/session.h"
#include "session/token_source.h"

namespace incipit {

struct GatewayOptions {
  SessionOptions session;
  /// Requests that may wait or run at once; more are refused.
  size_t most_requests = 1 << 16;
  /// Requests whose first token is predicted to come later are refused; 0: none is. A request's own first_token_us
  /// counts too.
  int64_t most_first_token_us = 0;
  /// Of the device, where other gateways have engines on it; null: nobody else does.
  std::shared_ptr<DeviceLease> lease;
};

class Gateway : public TokenSource {
 public:
  /// Opens a session and starts its thread. Throws Error as Session does.
  explicit Gateway(std::shared_ptr<const Engine> engine, const GatewayOptions& options = {});
  /// Cancels what runs, tells its listeners and waits for the thread, unless this is it.
  ~Gateway() override;

  // ---- from any thread
  /// The listener is called on the engine's thread.
  RequestId submit(Request request, Session::Listener listener) override;
  void cancel(RequestId id) override;
  /// Throws what a step could not be run for (altered weights), if there was such a thing. Requests have failed then,
  /// and submit() throws the same.
  void check() const override;
  /// As of the last step; what was submitted since counts as waiting.
  SessionLoad load() const override;
  /// Runs `work` on the engine's thread when no request runs, while others wait; returns when it is done, and throws
  /// what it throws. For what needs the executor to itself: evaluation, measuring by steps.
  void run_alone(const std::function<void(Session&)>& work);
  /// The same, but only if nothing runs or waits as the engine's thread hears of it: false if something does.
  bool run_if_idle(const std::function<void(Session&)>& work);
  /// Runs `work` on the engine's thread between two steps, whatever runs: to look at the session, and for no longer
  /// than a stream may wait.
  void look(const std::function<void(Session&)>& work);

  // ---- facts of the engine, which do not change
  const Engine& engine() const;
  const Tokenizer* tokenizer() const;  // null when the engine has none
  const ExecutorLimits& limits() const;
  SamplingParameters default_sampling() const;
  int workers() const;
  Executor::Memory memory() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // the thread's too
};

/// What has come of a request since its stream was last read.
struct StreamUpdate {
  using Clock = std::chrono::steady_clock;

  std::vector<int32_t> ids;
  std::vector<Clock::time_point> times;  // when each came
  std::string text;
  FinishReason finish = FinishReason::none;
  int32_t prompt_tokens = 0, cached_tokens = 0, new_tokens = 0;
  std::string failure;
};

/// A request's events for one other thread to read. What is not read is kept as one update: a slow reader holds no more
/// than its text. The request is cancelled when the stream goes before its end.
class TokenStream {
 public:
  /// Throws as Gateway::submit. The gateway outlives the stream.
  TokenStream(Gateway& gateway, Request request);
  ~TokenStream();
  TokenStream(const TokenStream&) = delete;
  TokenStream& operator=(const TokenStream&) = delete;

  /// Waits for something new; nothing when that takes longer than `timeout`. Not after the update with the finish.
  std::optional<StreamUpdate> next(std::chrono::nanoseconds timeout);
  /// Waits for the end and gives all that was not read; no token before the last wakes the reader. Throws on Ctrl-C,
  /// and what Gateway::check throws.
  StreamUpdate read_to_end();
  void cancel();

 private:
  struct Shared;
  Gateway& gateway_;
  std::shared_ptr<Shared> shared_;
  RequestId id_ = 0;
  bool ended_ = false;
};

}  // namespace incipit
