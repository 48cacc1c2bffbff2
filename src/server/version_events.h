// What happens to versions while a server follows a store, for those who watch.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server/http.h"

namespace incipit {

/// The last events, numbered. Any thread may add and read.
class VersionEvents : public std::enable_shared_from_this<VersionEvents> {
 public:
  /// `event` gets its number and the time.
  void add(boost::json::object event);
  /// A stream of server-sent events: those behind number `after`, and what comes then. `wake` is called by whoever
  /// adds; `kept` stays as long as the stream.
  std::shared_ptr<BodySource> stream(int64_t after, std::shared_ptr<void> kept, std::function<void()> wake);
  /// Ends all streams.
  void close();

 private:
  struct Event {
    int64_t number = 0;
    std::string text;  // as a server-sent event
  };
  class Stream;
  std::string behind(int64_t& number) const;
  bool closed() const;
  void forget(const Stream* stream);

  mutable std::mutex mutex_;
  // Under the mutex.
  std::deque<Event> events_;
  int64_t next_ = 1;
  bool closed_ = false;
  std::map<const Stream*, std::function<void()>> watching_;
};

}  // namespace incipit
