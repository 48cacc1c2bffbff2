// What the server serves: models by name.
#pragma once

#include <atomic>
#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/jinja_template.h"
#include "openai/request_body.h"
#include "server/metrics.h"
#include "server/version_window.h"
#include "session/gateway.h"

namespace incipit {

/// What health checks and dashboards ask of a model; any thread may.
struct ModelHealth {
  std::atomic<bool> ready{true};              // its buckets have run, and no first token is too late
  std::atomic<bool> baseline_missing{false};  // of this machine: nothing to compare first tokens with
};

struct ServedModel {
  std::string name;
  int64_t version = 0;      // of a store; 0: of none
  std::string fingerprint;  // of what made an answer, as answers say it; empty: they do not
  std::shared_ptr<TokenSource> source;
  const Tokenizer* tokenizer = nullptr;  // the source's; null when it has none
  std::optional<JinjaTemplate> chat;
  boost::json::object chat_variables;
  SamplingParameters default_sampling;
  int32_t max_context = 0;
  int32_t page_tokens = 0, pages = 0;  // of the first cache group
  int64_t created = 0;                 // seconds since 1970
  const std::unique_ptr<ModelMetrics> metrics = std::make_unique<ModelMetrics>();
  const std::unique_ptr<ModelHealth> health = std::make_unique<ModelHealth>();
  const std::unique_ptr<VersionWindow> window = std::make_unique<VersionWindow>();

  /// "chat@7" of a store's version, else the name.
  std::string full_name() const;

  /// For reading bodies of requests to this model. Valid as long as it.
  BodyContext context() const;
};

/// Throws Error for a chat template that cannot be read.
std::shared_ptr<const ServedModel> served_model(std::string name, std::shared_ptr<Gateway> gateway,
                                                int64_t version = 0);

/// Names and what they stand for, for any thread; they may change while requests run, which end on the model they began
/// on.
class ModelTable {
 public:
  struct Entry {
    std::string name;
    std::shared_ptr<const ServedModel> model;
  };

  /// Several names may stand for one model. Whoever had the name before ends what it has begun.
  void set(const std::string& name, std::shared_ptr<const ServedModel> model);
  void remove(std::string_view name);
  /// Of the conversations that ask for `name`, `percent` get another model instead, always the same ones; null: none.
  void set_canary(const std::string& name, std::shared_ptr<const ServedModel> model, double percent);
  /// Frees models that have neither a name nor a request any more, and says how many are left without a name. Waits for
  /// their engines: for a thread that nobody else waits for.
  size_t free_unused();
  /// Null for an unknown name. No name stands for the only model, if it is the only one.
  std::shared_ptr<const ServedModel> find(std::string_view name) const;
  /// The same for a request of a conversation (conversation.h), which may be a canary's.
  std::shared_ptr<const ServedModel> find(std::string_view name, uint64_t conversation) const;
  std::vector<Entry> entries() const;

 private:
  struct Canary {
    std::shared_ptr<const ServedModel> model;
    double percent = 0;
  };
  using Names = std::map<std::string, std::shared_ptr<const ServedModel>, std::less<>>;
  void retire(std::shared_ptr<const ServedModel> model);
  Names::const_iterator find_entry(std::string_view name) const;

  mutable std::mutex mutex_;
  Names models_;
  std::map<std::string, Canary, std::less<>> canaries_;
  // Without a name. They stay here, so that no request's end frees an engine in a thread that must not wait.
  std::vector<std::shared_ptr<const ServedModel>> retired_;
};

}  // namespace incipit
