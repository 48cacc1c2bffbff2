// The way into the server's thread for whoever may outlive it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <mutex>
#include <utility>

namespace incipit {

class LoopDoor {
 public:
  explicit LoopDoor(boost::asio::io_context& loop) : loop_(&loop) {}

  /// Runs `work` on the loop's thread: now, where this is it; never, once the door is shut.
  template <typename Work>
  void run(Work&& work) {
    {
      const std::lock_guard lock(mutex_);
      if (loop_ == nullptr) return;
      if (!loop_->get_executor().running_in_this_thread()) {
        boost::asio::post(*loop_, std::forward<Work>(work));
        return;
      }
    }
    work();
  }
  void shut() {
    const std::lock_guard lock(mutex_);
    loop_ = nullptr;
  }

 private:
  std::mutex mutex_;
  boost::asio::io_context* loop_;
};

}  // namespace incipit
