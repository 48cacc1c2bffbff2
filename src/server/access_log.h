// The access log: a line of JSON for each request.
#pragma once

#include <boost/json/value.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "server/line_log.h"

namespace incipit {

/// What a request's line says. Nothing of its prompt, its answer or its key.
struct AccessRecord {
  using Clock = std::chrono::steady_clock;

  std::string id, method, path;
  std::string model, finish;  // of requests for text
  int status = 0;             // 499: the client left before the end of its answer
  int64_t prompt_tokens = 0, cached_tokens = 0, new_tokens = 0;
  Clock::time_point begun, first_token;  // its first byte; the epoch where no token came
  boost::json::value cache;              // why no more of its prompt was cached; null: nobody asked
};

class AccessLog {
 public:
  /// As LineLog.
  explicit AccessLog(std::filesystem::path path);

  /// The request ends now.
  void add(const AccessRecord& record);
  void reopen() { lines_.reopen(); }

 private:
  LineLog lines_;
};

}  // namespace incipit
