// Threads for what would keep the server's own from its connections: reading bodies, rendering, tokenising.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace incipit {

class WorkThreads {
 public:
  /// One thread does all in the order in which it came; several begin in that order.
  explicit WorkThreads(size_t count);
  ~WorkThreads();
  WorkThreads(const WorkThreads&) = delete;
  WorkThreads& operator=(const WorkThreads&) = delete;

  /// From any thread. `work` does not throw, and is dropped once the threads are stopped.
  void add(std::function<void()> work);
  /// Drops what has not begun, and waits for the rest.
  void stop();
  /// Waits until all is done, and stops.
  void finish();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  bool stopping_ = false;  // nothing is taken any more
  std::vector<std::thread> threads_;
};

}  // namespace incipit
