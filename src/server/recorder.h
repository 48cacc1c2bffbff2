// The record of requests for text, which incipit replay reads (measure/request_record.h).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>

#include "measure/request_record.h"
#include "server/line_log.h"

namespace incipit {

/// Any thread may add; no request waits for the disk.
class Recorder {
 public:
  using Clock = std::chrono::steady_clock;

  /// Appends to a file that its owner alone may read, and that may have to be made. `with_texts`: prompts and answers
  /// as they are, instead of digests. Throws Error naming what cannot be opened.
  Recorder(std::filesystem::path path, bool with_texts);

  bool with_texts() const { return with_texts_; }
  /// A request that began then, and ends now. Its salt and its tenant are the server's own numbers, its prompts' ids
  /// are given: what is to be hidden is hidden here.
  void add(RecordedRequest request, Clock::time_point begun);
  void reopen();
  /// Requests that were to be recorded, and are not.
  uint64_t lost() const { return lines_.lost(); }

 private:
  const bool with_texts_;
  const Clock::time_point begin_ = Clock::now();
  DigestKey key_ = DigestKey::random();  // of the file that is written to; the log's thread's
  LineLog lines_;                        // last: its thread uses the key
};

}  // namespace incipit
