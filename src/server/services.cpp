#include "server/services.h"

#include <fmt/format.h>

namespace incipit {

Services::Services(ModelTable& models, size_t most_requests, bool explain_cache, StoreFollower* follower)
    : models_(models), most_requests_(most_requests), explain_cache_(explain_cache), follower_(follower) {}

uint64_t Services::random() {
  const std::lock_guard lock(mutex_);
  return random_();
}

std::shared_ptr<void> Services::admit() {
  if (requests_->fetch_add(1) >= most_requests_) {
    requests_->fetch_sub(1);
    return nullptr;
  }
  return {requests_.get(), [requests = requests_](void*) { requests->fetch_sub(1); }};
}

namespace {

[[noreturn]] void unknown_model(std::string_view name) {
  if (name.empty()) throw ApiError{400, "'model' is missing", "invalid_request_error", "model"};
  throw ApiError{404, fmt::format("the model '{}' is not served; GET /v1/models lists those that are", name),
                 "invalid_request_error", "model", "model_not_found"};
}

}  // namespace

std::shared_ptr<const ServedModel> require_model(const ModelTable& models, std::string_view name,
                                                 uint64_t conversation) {
  if (auto found = models.find(name, conversation)) return found;
  unknown_model(name);
}

std::shared_ptr<const ServedModel> require_model(const ModelTable& models, std::string_view name) {
  if (auto found = models.find(name)) return found;
  unknown_model(name);
}

}  // namespace incipit
