// The access log: a line of JSON for each request.
#pragma once

#include <atomic>
#include <boost/json/value.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "server/work_threads.h"

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

/// Lines are written by a thread of the log's own: a disk that is slow keeps no request waiting. Any thread may add.
class AccessLog {
 public:
  /// Appends to a file, which may have to be made, or to standard output ("-"). Throws Error naming what cannot be
  /// opened.
  explicit AccessLog(std::filesystem::path path);
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  /// The request ends now. Where very many lines wait for the disk, this one is dropped, and counted.
  void add(const AccessRecord& record);
  /// Opens the file by its name anew: what rotates logs has moved the old one. A file that cannot be opened is told of,
  /// and the old one goes on.
  void reopen();

 private:
  void write(const std::string& line);

  const std::filesystem::path path_;
  std::atomic<int64_t> waiting_{0}, dropped_{0};
  // The thread's.
  int file_ = -1;
  bool failing_ = false;
  WorkThreads thread_{1};  // last: it uses all of the above
};

}  // namespace incipit
