#include "server/work_thread.h"

#include <utility>

namespace incipit {

WorkThread::WorkThread() : thread_([this] { run(); }) {}

WorkThread::~WorkThread() { stop(); }

void WorkThread::add(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    work_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void WorkThread::stop() {
  std::deque<std::function<void()>> dropped;  // destroyed without the lock
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(work_);
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void WorkThread::run() {
  while (true) {
    std::function<void()> work;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !work_.empty(); });
      if (stopping_) return;
      work = std::move(work_.front());
      work_.pop_front();
    }
    work();
  }
}

}  // namespace incipit
