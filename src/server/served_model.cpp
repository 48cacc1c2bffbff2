#include "server/served_model.h"

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

std::shared_ptr<const ServedModel> served_model(std::string name, std::shared_ptr<Gateway> gateway) {
  auto model = std::make_shared<ServedModel>();
  const Engine& engine = gateway->engine();
  model->name = std::move(name);
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

void ModelTable::retire(std::shared_ptr<const ServedModel> model) {
  const bool has_name = std::ranges::any_of(models_, [&](const auto& entry) { return entry.second == model; });
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

std::shared_ptr<const ServedModel> ModelTable::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  if (name.empty()) {
    const bool one = !models_.empty() && std::ranges::all_of(models_, [&](const auto& entry) {
      return entry.second == models_.begin()->second;
    });
    return one ? models_.begin()->second : nullptr;
  }
  const auto found = models_.find(name);
  return found == models_.end() ? nullptr : found->second;
}

std::vector<ModelTable::Entry> ModelTable::entries() const {
  const std::lock_guard lock(mutex_);
  std::vector<Entry> entries;
  for (const auto& [name, model] : models_) entries.push_back({name, model});
  return entries;
}

}  // namespace incipit
