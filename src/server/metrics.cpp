#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/served_model.h"

namespace incipit {
namespace {

constexpr double seconds_to_a_token[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25,
                                         0.5,    0.75,  1,      2.5,   5,    7.5,  10,   20,   40,   80,  160};
constexpr double seconds_between_tokens[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15,
                                             0.2,    0.3,   0.4,    0.5,   0.75, 1,     2.5,  5,     10,  40};
constexpr double seconds_of_a_request[] = {0.0005, 0.001, 0.01, 0.1, 0.3, 0.5, 0.8, 1,  1.5, 2,   2.5,
                                           5,      10,    15,   20,  30,  40,  50,  60, 120, 240, 480};
constexpr double tokens_of_a_request[] = {1,    2,    5,    10,    20,    50,    100,    200,   500,
                                          1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000};

/// A label's value between its quotes.
std::string escaped(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    text += c == '\n' ? "\\n" : std::string(1, c);
  }
  return text;
}

/// One metric of all models, under its heading.
template <typename Write>
void add_metric(std::string& text, std::span<const LabelledModel> models, std::string_view name, std::string_view type,
                std::string_view help, Write write) {
  text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  for (const LabelledModel& one : models) {
    std::string labels = fmt::format("model_name=\"{}\"", escaped(one.label));
    if (one.model->version != 0) labels += fmt::format(",version=\"{}\"", one.model->version);
    write(*one.model, labels);
  }
}

}  // namespace

MetricHistogram::MetricHistogram(std::span<const double> bounds) : bounds_(bounds), counts_(bounds.size() + 1) {}

void MetricHistogram::add(double value) {
  const auto bound = std::ranges::lower_bound(bounds_, value) - bounds_.begin();
  counts_[static_cast<size_t>(bound)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

void MetricHistogram::write(std::string& text, std::string_view name, std::string_view labels) const {
  uint64_t count = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    count += counts_[i].load(std::memory_order_relaxed);
    const std::string bound = i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf";
    text += fmt::format("{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, bound, count);
  }
  text += fmt::format("{}_sum{{{}}} {}\n{}_count{{{}}} {}\n", name, labels, sum_.load(), name, labels, count);
}

ModelMetrics::ModelMetrics()
    : first_token(seconds_to_a_token),
      between_tokens(seconds_between_tokens),
      whole(seconds_of_a_request),
      queue(seconds_of_a_request),
      prefill(seconds_of_a_request),
      decode(seconds_of_a_request),
      inference(seconds_of_a_request),
      per_token(seconds_between_tokens),
      prompt_tokens(tokens_of_a_request),
      generated_tokens(tokens_of_a_request),
      most_generated_tokens(tokens_of_a_request) {}

void ModelMetrics::add_stages(double started, double first, double last, int32_t generated) {
  queue.add(started);
  prefill.add(first - started);
  decode.add(last - first);
  inference.add(last - started);
  if (generated > 1) per_token.add((last - first) / (generated - 1));
}

void ModelMetrics::add_finished(FinishReason reason, double seconds, int32_t prompt, int32_t cached,
                                int32_t generated) {
  whole.add(seconds);
  prompt_tokens.add(prompt);
  generated_tokens.add(generated);
  all_prompt_tokens += static_cast<uint64_t>(prompt);
  all_cached_tokens += static_cast<uint64_t>(cached);
  all_generated_tokens += static_cast<uint64_t>(generated);
  ++finished[static_cast<size_t>(reason)];
}

std::string metrics_text(std::span<const LabelledModel> models) {
  std::string text;
  const auto number = [&](std::string_view name, std::string_view type, std::string_view help, auto value) {
    add_metric(text, models, name, type, help, [&](const ServedModel& model, const std::string& labels) {
      text += fmt::format("{}{{{}}} {}\n", name, labels, value(model));
    });
  };
  const auto histogram = [&](std::string_view name, std::string_view help, MetricHistogram ModelMetrics::*member) {
    add_metric(text, models, name, "histogram", help, [&](const ServedModel& model, const std::string& labels) {
      (*model.metrics.*member).write(text, name, labels);
    });
  };
  number("vllm:num_requests_running", "gauge", "Requests in the engine's batch.",
         [](const ServedModel& model) { return model.source->load().running; });
  number("vllm:num_requests_waiting", "gauge", "Requests that wait for a place in it.",
         [](const ServedModel& model) { return model.source->load().waiting; });
  number("vllm:kv_cache_usage_perc", "gauge", "Share of the cache's pages that sequences hold, 0 to 1.",
         [](const ServedModel& model) { return model.source->load().pages_held; });
  add_metric(text, models, "vllm:cache_config_info", "gauge", "The cache's pages.",
             [&](const ServedModel& model, const std::string& labels) {
               text += fmt::format("vllm:cache_config_info{{{},block_size=\"{}\",num_gpu_blocks=\"{}\"}} 1\n", labels,
                                   model.page_tokens, model.pages);
             });
  number("vllm:prompt_tokens_total", "counter", "Tokens of prompts.",
         [](const ServedModel& model) { return model.metrics->all_prompt_tokens.load(); });
  number("vllm:generation_tokens_total", "counter", "Tokens generated.",
         [](const ServedModel& model) { return model.metrics->all_generated_tokens.load(); });
  number("vllm:prefix_cache_queries_total", "counter", "Tokens that were looked for in the prefix cache.",
         [](const ServedModel& model) { return model.metrics->all_prompt_tokens.load(); });
  number("vllm:prefix_cache_hits_total", "counter", "Tokens of them that were there.",
         [](const ServedModel& model) { return model.metrics->all_cached_tokens.load(); });
  add_metric(text, models, "vllm:request_success_total", "counter", "Requests by how they ended.",
             [&](const ServedModel& model, const std::string& labels) {
               constexpr std::pair<FinishReason, std::string_view> reasons[] = {{FinishReason::stop, "stop"},
                                                                                {FinishReason::length, "length"},
                                                                                {FinishReason::cancelled, "abort"},
                                                                                {FinishReason::failed, "error"}};
               for (const auto& [reason, name] : reasons) {
                 text += fmt::format("vllm:request_success_total{{{},finished_reason=\"{}\"}} {}\n", labels, name,
                                     model.metrics->finished[static_cast<size_t>(reason)].load());
               }
             });
  number("vllm:num_preemptions_total", "counter", "Requests that gave their place in the batch up for a while.",
         [](const ServedModel& model) { return model.source->load().preemptions; });
  number("incipit_baseline_missing", "gauge", "1 where the engine has no first tokens of this machine to compare with.",
         [](const ServedModel& model) { return model.health->baseline_missing ? 1 : 0; });
  histogram("vllm:time_to_first_token_seconds", "From a request's last byte to its first token.",
            &ModelMetrics::first_token);
  histogram("vllm:inter_token_latency_seconds", "From one token of a request to the next.",
            &ModelMetrics::between_tokens);
  histogram("vllm:e2e_request_latency_seconds", "From a request's last byte to its end.", &ModelMetrics::whole);
  histogram("vllm:request_queue_time_seconds", "From a request's way to the engine to its first step.",
            &ModelMetrics::queue);
  histogram("vllm:request_prefill_time_seconds", "From a request's first step to its first token.",
            &ModelMetrics::prefill);
  histogram("vllm:request_decode_time_seconds", "From a request's first token to its last.", &ModelMetrics::decode);
  histogram("vllm:request_inference_time_seconds", "From a request's first step to its last token.",
            &ModelMetrics::inference);
  histogram("vllm:request_time_per_output_token_seconds", "The decode time of a request over its tokens.",
            &ModelMetrics::per_token);
  histogram("vllm:request_max_num_generation_tokens", "Tokens of the longest choice of a body.",
            &ModelMetrics::most_generated_tokens);
  histogram("vllm:request_prompt_tokens", "Tokens of a request's prompt.", &ModelMetrics::prompt_tokens);
  histogram("vllm:request_generation_tokens", "Tokens generated for a request.", &ModelMetrics::generated_tokens);
  return text;
}

}  // namespace incipit
