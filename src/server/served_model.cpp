#include "server/served_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "openai/chat_variables.h"

namespace incipit {

BodyContext ServedModel::context() const {
  BodyContext context;
  context.default_sampling = default_sampling;
  context.tokenizer = tokenizer;
  context.chat = chat ? &*chat : nullptr;
  context.chat_variables = &chat_variables;
  context.ignore_unknown = true;
  return context;
}

std::string ServedModel::full_name() const { return version == 0 ? name : fmt::format("{}@{}", name, version); }

std::shared_ptr<const ServedModel> served_model(std::string name, std::shared_ptr<Gateway> gateway, int64_t version) {
  constexpr size_t digits = 12;
  auto model = std::make_shared<ServedModel>();
  const Engine& engine = gateway->engine();
  model->name = std::move(name);
  model->version = version;
  model->fingerprint = "fp_" + engine.body_digest().hex().substr(0, digits);
  model->tokenizer = gateway->tokenizer();
  if (!engine.chat_template().empty()) {
    model->chat.emplace(engine.chat_template(), engine.path().string() + ": chat template");
    model->chat_variables = chat_variables(engine);
  }
  model->default_sampling = gateway->default_sampling();
  model->max_context = gateway->limits().max_context;
  if (!gateway->limits().groups.empty()) {
    model->page_tokens = gateway->limits().groups.front().page_tokens;
    model->pages = gateway->limits().groups.front().pages;
  }
  model->created = std::time(nullptr);
  model->source = std::move(gateway);
  return model;
}

void ModelTable::set(const std::string& name, std::shared_ptr<const ServedModel> model) {
  const std::lock_guard lock(mutex_);
  std::erase(retired_, model);
  retire(std::exchange(models_[name], std::move(model)));
}

void ModelTable::remove(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto found = models_.find(name);
  if (found == models_.end()) return;
  auto model = std::move(found->second);
  models_.erase(found);
  retire(std::move(model));
}

void ModelTable::set_canary(const std::string& name, std::shared_ptr<const ServedModel> model, double percent) {
  const std::lock_guard lock(mutex_);
  std::erase(retired_, model);
  Canary old = std::move(canaries_[name]);
  if (model) {
    canaries_[name] = {std::move(model), percent};
  } else {
    canaries_.erase(name);
  }
  retire(std::move(old.model));
}

void ModelTable::retire(std::shared_ptr<const ServedModel> model) {
  const bool has_name = std::ranges::any_of(models_, [&](const auto& entry) { return entry.second == model; }) ||
                        std::ranges::any_of(canaries_, [&](const auto& one) { return one.second.model == model; });
  if (model && !has_name) retired_.push_back(std::move(model));
}

size_t ModelTable::free_unused() {
  std::vector<std::shared_ptr<const ServedModel>> unused;  // freed without the mutex
  const std::lock_guard lock(mutex_);
  for (auto& model : retired_) {
    if (model.use_count() == 1) unused.push_back(std::exchange(model, nullptr));
  }
  std::erase(retired_, nullptr);
  return retired_.size();
}

ModelTable::Names::const_iterator ModelTable::find_entry(std::string_view name) const {
  if (!name.empty()) return models_.find(name);
  const auto first = models_.begin();
  // Names of versions are those of one model.
  const bool one = std::ranges::all_of(models_, [&](const auto& entry) {
    return entry.second == first->second || (entry.second->version != 0 && entry.second->name == first->second->name);
  });
  return one ? first : models_.end();
}

std::shared_ptr<const ServedModel> ModelTable::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = find_entry(name);
  return found == models_.end() ? nullptr : found->second;
}

std::shared_ptr<const ServedModel> ModelTable::find(std::string_view name, uint64_t conversation) const {
  constexpr uint64_t parts = 10'000;
  const std::lock_guard lock(mutex_);
  const auto found = find_entry(name);
  if (found == models_.end()) return nullptr;
  const auto canary = canaries_.find(found->first);
  const bool tries =
      canary != canaries_.end() && static_cast<double>(conversation % parts) < canary->second.percent / 100 * parts;
  return tries ? canary->second.model : found->second;
}

std::vector<ModelTable::Entry> ModelTable::entries() const {
  const std::lock_guard lock(mutex_);
  std::vector<Entry> entries;
  for (const auto& [name, model] : models_) entries.push_back({name, model});
  return entries;
}

}  // namespace incipit
