// What endpoints need of the server. Outlives it in the hands of those whose requests end later.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <utility>

#include "server/call.h"
#include "server/served_model.h"
#include "server/work_threads.h"

namespace incipit {

class Recorder;
class StoreFollower;

class Services {
 public:
  /// `models` stay as long as the server, and so does `follower`, which is null where no store is served.
  Services(ModelTable& models, size_t most_requests, bool explain_cache, StoreFollower* follower = nullptr);

  ModelTable& models() { return models_; }
  StoreFollower* follower() { return follower_; }
  /// Of requests for text; null: they are not recorded.
  Recorder* recorder() const { return recorder_.get(); }
  /// Before the first request.
  void record_by(std::shared_ptr<Recorder> recorder) { recorder_ = std::move(recorder); }
  /// What takes longer than a health check may wait.
  WorkThreads& work() { return work_; }
  /// From any thread; of no use to who guards a secret.
  uint64_t random();

  /// A request that is being prepared or answered, as long as this lives; null when there are as many as there may be.
  std::shared_ptr<void> admit();
  size_t most_requests() const { return most_requests_; }
  /// Whether requests say why no more of their prompts was cached.
  bool explain_cache() const { return explain_cache_; }
  std::atomic<bool>& draining() { return draining_; }

 private:
  ModelTable& models_;
  const size_t most_requests_;
  const bool explain_cache_;
  StoreFollower* const follower_;
  std::shared_ptr<Recorder> recorder_;
  std::shared_ptr<std::atomic<size_t>> requests_ = std::make_shared<std::atomic<size_t>>(0);
  std::atomic<bool> draining_{false};
  std::mutex mutex_;
  std::mt19937_64 random_{std::random_device{}()};  // under the mutex
  // A long prompt takes some time to be tokenised, and others should not wait for it.
  WorkThreads work_{3};
};

/// The model of that name, for a request of that conversation. Throws ApiError (404).
std::shared_ptr<const ServedModel> require_model(const ModelTable& models, std::string_view name,
                                                 uint64_t conversation);
/// The same, but never a canary.
std::shared_ptr<const ServedModel> require_model(const ModelTable& models, std::string_view name);

}  // namespace incipit
