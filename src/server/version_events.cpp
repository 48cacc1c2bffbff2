#include "server/version_events.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <ctime>
#include <utility>

namespace incipit {

class VersionEvents::Stream : public BodySource {
 public:
  Stream(std::shared_ptr<VersionEvents> events, int64_t after, std::shared_ptr<void> kept)
      : events_(std::move(events)), told_(after), kept_(std::move(kept)) {}
  ~Stream() override { events_->forget(this); }

  std::string next() override { return events_->behind(told_); }
  bool ended() const override { return events_->closed(); }
  bool broken() const override { return false; }
  std::string sign_of_life() override { return ": \n\n"; }

 private:
  const std::shared_ptr<VersionEvents> events_;
  int64_t told_;
  const std::shared_ptr<void> kept_;
};

void VersionEvents::add(boost::json::object event) {
  constexpr size_t most = 1000;
  const std::lock_guard lock(mutex_);
  event["number"] = next_;
  event["unix_time"] = static_cast<int64_t>(std::time(nullptr));
  events_.push_back({next_, fmt::format("id: {}\ndata: {}\n\n", next_, boost::json::serialize(event))});
  ++next_;
  if (events_.size() > most) events_.pop_front();
  for (const auto& [stream, wake] : watching_) wake();
}

std::shared_ptr<BodySource> VersionEvents::stream(int64_t after, std::shared_ptr<void> kept,
                                                  std::function<void()> wake) {
  auto stream = std::make_shared<Stream>(shared_from_this(), after, std::move(kept));
  const std::lock_guard lock(mutex_);
  watching_.emplace(stream.get(), std::move(wake));
  return stream;
}

void VersionEvents::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (const auto& [stream, wake] : watching_) wake();
}

std::string VersionEvents::behind(int64_t& number) const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const Event& event : events_) {
    if (event.number > number) text += event.text;
  }
  number = next_ - 1;
  return text;
}

bool VersionEvents::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

void VersionEvents::forget(const Stream* stream) {
  const std::lock_guard lock(mutex_);
  watching_.erase(stream);
}

}  // namespace incipit
