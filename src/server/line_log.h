// Files of lines that no request waits for: the access log, the record of requests.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "server/work_threads.h"

namespace incipit {

/// "2026-01-31T12:00:00.000Z".
std::string utc_time(std::chrono::system_clock::time_point time);

struct LineLogOptions {
  std::string_view name;  // for messages: "access log"
  mode_t mode = 0640;     // of the file
  /// Whether a file that was there, with other permissions, gets these.
  bool enforce_mode = false;
  /// The line before the first one that is written to a file, also to one that had lines; null: none. It is made before
  /// the other.
  std::function<std::string()> heading = {};
};

/// Lines are made and written by a thread of the log's own: a disk that is slow or full keeps no request waiting. Any
/// thread may add.
class LineLog {
 public:
  /// Appends to a file, which may have to be made, or to standard output ("-"). Throws Error naming what cannot be
  /// opened.
  LineLog(std::filesystem::path path, LineLogOptions options);
  /// Waits until all is written.
  ~LineLog();
  LineLog(const LineLog&) = delete;
  LineLog& operator=(const LineLog&) = delete;

  /// `make` gives a line without its end. `bytes`: about what it holds until then. Where very much waits for the disk,
  /// this line is lost.
  void add(std::function<std::string()> make, size_t bytes);
  /// Opens the file by its name anew: what rotates logs has moved the old one. A file that cannot be opened is told of,
  /// and the old one goes on.
  void reopen();
  /// Lines that were not written, ever.
  uint64_t lost() const { return lost_; }

 private:
  void write(const std::function<std::string()>& make);
  bool put(const std::string& line);
  bool write_some(std::string& text);
  void tell_of_slowness(bool at_end);

  const std::filesystem::path path_;
  const LineLogOptions options_;
  std::atomic<size_t> waiting_bytes_{0};
  std::atomic<uint64_t> lost_{0}, dropped_{0};  // dropped: for the disk's slowness, since that was told of
  // The thread's.
  int file_ = -1;
  std::string rest_;  // of a line whose beginning is written
  bool heading_due_, failing_ = false, slow_ = false;
  WorkThreads thread_{1};  // last: it uses all of the above
};

}  // namespace incipit
