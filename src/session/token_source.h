// Where requests go and tokens come from, for any thread: a Gateway, or a test's script.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "session/session.h"

namespace incipit {

/// A request's number at its source.
using RequestId = uint64_t;

/// The source takes no more requests, or not this one: its first token would come too late.
class Overloaded : public Error {
 public:
  using Error::Error;
  Overloaded(std::string_view thing, std::string_view fault, std::string_view remedy, int64_t predicted_ms,
             int64_t retry_ms)
      : Error(thing, fault, remedy), predicted_ms_(predicted_ms), retry_ms_(retry_ms) {}

  /// Until the first token, had it been taken; 0 where that is not the reason.
  int64_t predicted_ms() const { return predicted_ms_; }
  /// When to ask again; 0: it would be in vain.
  int64_t retry_ms() const { return retry_ms_; }

 private:
  int64_t predicted_ms_ = 0, retry_ms_ = 1000;
};

/// All functions may be called from any thread.
class TokenSource {
 public:
  TokenSource() = default;
  virtual ~TokenSource() = default;
  TokenSource(const TokenSource&) = delete;
  TokenSource& operator=(const TokenSource&) = delete;

  /// Queues a request. `listener` is called on the source's thread, with this request's id, until an event says that it
  /// has finished; it must not block, and may call submit() and cancel(). Throws Error when the request can never run,
  /// Overloaded when there are too many.
  virtual RequestId submit(Request request, Session::Listener listener) = 0;
  /// Ends a request soon with FinishReason::cancelled; nothing happens when it has ended.
  virtual void cancel(RequestId id) = 0;
  /// Throws what no request can be run for any more (altered weights), if there is such a thing.
  virtual void check() const = 0;
  /// What waits and runs.
  virtual SessionLoad load() const = 0;
};

}  // namespace incipit
