// What is counted of a model's requests, and its text for Prometheus. Source: Prometheus' text format 0.0.4; the names
// of vLLM's metrics, by which dashboards and gateways know a server.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "session/session.h"

namespace incipit {

/// How many values were at most each of some bounds. Any thread may add, and waits for none.
class MetricHistogram {
 public:
  explicit MetricHistogram(std::span<const double> bounds);
  void add(double value);
  /// Appends the samples of the metric `name`; `labels` without braces.
  void write(std::string& text, std::string_view name, std::string_view labels) const;

 private:
  std::span<const double> bounds_;
  std::vector<std::atomic<uint64_t>> counts_;  // a bound each, and those beyond all
  std::atomic<double> sum_{0};
};

/// Of the requests to one model: a choice is one.
struct ModelMetrics {
  ModelMetrics();

  MetricHistogram first_token, between_tokens, whole;  // seconds, from a request's last byte
  MetricHistogram queue, prefill, decode, inference;   // seconds: to the first step, to the first token, behind it
  MetricHistogram per_token;                           // seconds of decode, a token
  MetricHistogram prompt_tokens, generated_tokens;     // a request
  MetricHistogram most_generated_tokens;               // of the choices of a body
  std::atomic<uint64_t> all_prompt_tokens{0}, all_cached_tokens{0}, all_generated_tokens{0};
  std::array<std::atomic<uint64_t>, 5> finished{};  // by FinishReason

  void add_finished(FinishReason reason, double seconds, int32_t prompt, int32_t cached, int32_t generated);
  /// Of one that had a token: seconds until its first step, until its first token and until its last.
  void add_stages(double started, double first, double last, int32_t generated);
};

struct ServedModel;

struct LabelledModel {
  std::string label;  // no other's of the same version
  const ServedModel* model = nullptr;
};

/// The text of all metrics of some models.
std::string metrics_text(std::span<const LabelledModel> models);

}  // namespace incipit
