// A source of tokens that says what a test tells it to, and when.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "session/token_source.h"

namespace incipit {

class ScriptedSource : public TokenSource {
 public:
  static constexpr auto patience = std::chrono::seconds(20);

  RequestId submit(Request request, Session::Listener listener) override {
    RequestId id = 0;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return !stalled_; });
      if (late_) throw Overloaded("script", "the first token would come after 70000 ms", "try again", 70'000, 61'234);
      if (full_) throw Overloaded("script", "1 requests wait or run already", "try again later");
      if (request.prompt.empty()) throw Error("request", "the prompt has no tokens", "give at least one");
      id = ++last_id_;
      const auto prompt = static_cast<int32_t>(request.prompt.size());
      asked_[id] = {std::move(request), std::move(listener), prompt, 0};
    }
    changed_.notify_all();
    return id;
  }
  void cancel(RequestId id) override {
    {
      const std::lock_guard lock(mutex_);
      cancelled_.insert(id);
    }
    changed_.notify_all();
  }
  void check() const override {
    const std::lock_guard lock(mutex_);
    if (!fault_.empty()) throw Error("script", fault_);
  }
  SessionLoad load() const override { return {}; }

  // ---- the script
  void set_full(bool full) {
    const std::lock_guard lock(mutex_);
    full_ = full;
  }
  void set_late(bool late) {
    const std::lock_guard lock(mutex_);
    late_ = late;
  }
  /// submit() waits for as long as this is set.
  void set_stalled(bool stalled) {
    {
      const std::lock_guard lock(mutex_);
      stalled_ = stalled;
    }
    changed_.notify_all();
  }
  void set_fault(const std::string& fault) {
    const std::lock_guard lock(mutex_);
    fault_ = fault;
  }
  /// Waits for the request of that number, from 1.
  Request wait_for(RequestId id) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, patience, [&] { return asked_.contains(id); })) throw std::runtime_error("no request");
    return asked_.at(id).request;
  }
  /// Whether its cancellation was asked for, by now or soon.
  bool wait_for_cancel(RequestId id) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return cancelled_.contains(id); });
  }
  bool is_cancelled(RequestId id) const {
    const std::lock_guard lock(mutex_);
    return cancelled_.contains(id);
  }
  size_t requests() const {
    const std::lock_guard lock(mutex_);
    return asked_.size();
  }

  void say(RequestId id, std::string_view text, FinishReason finish = FinishReason::none, int32_t token = 7) {
    TokenEvent event = next(id, 1);
    event.token = row(token);
    event.text = text;
    event.finish = finish;
    tell(id, event);
  }
  /// So much of the prompt is done, `cached` tokens of it by others.
  void progress(RequestId id, int32_t done, int32_t cached) {
    TokenEvent event = next(id, 0);
    event.prompt_done = done;
    event.cached_tokens = cached;
    event.started = std::chrono::steady_clock::now();
    tell(id, event);
  }
  void end(RequestId id, FinishReason finish, std::string_view failure = {}) {
    TokenEvent event = next(id, 0);
    event.finish = finish;
    event.failure = failure;
    tell(id, event);
  }

  static SampledRow row(int32_t token) {
    SampledRow row;
    row.id = token;
    row.logprob = -0.5F;
    row.top_count = 2;
    row.top_ids[0] = token;
    row.top_logprobs[0] = -0.5F;
    row.top_ids[1] = token + 1;
    row.top_logprobs[1] = -1.5F;
    return row;
  }

 private:
  struct Asked {
    Request request;
    Session::Listener listener;
    int32_t prompt_tokens = 0, new_tokens = 0;
  };
  TokenEvent next(RequestId id, int32_t tokens) {
    const std::lock_guard lock(mutex_);
    Asked& asked = asked_.at(id);
    TokenEvent event;
    event.id = static_cast<SequenceId>(id);
    event.prompt_tokens = asked.prompt_tokens;
    event.cached_tokens = 1;
    event.new_tokens = asked.new_tokens += tokens;
    return event;
  }
  void tell(RequestId id, const TokenEvent& event) {
    Session::Listener listener;
    {
      const std::lock_guard lock(mutex_);
      Asked& asked = asked_.at(id);
      listener = asked.listener;
      if (event.finish != FinishReason::none) asked.listener = {};
    }
    listener(event);
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<RequestId, Asked> asked_;
  std::set<RequestId> cancelled_;
  RequestId last_id_ = 0;
  bool full_ = false, late_ = false, stalled_ = false;
  std::string fault_;
};

}  // namespace incipit
