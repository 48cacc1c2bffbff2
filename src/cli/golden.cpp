#include "cli/golden.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/progress.h"
#include "base/softmax.h"
#include "engine/plan_items.h"
#include "graph/ops/embedding.h"
#include "graph/summary.h"
#include "passes/pass.h"
#include "quant/format.h"

namespace incipit::cli {
namespace {

constexpr int64_t most_parameters = 1'000'000'000;
constexpr int64_t most_products = 2'000'000'000;     // scalar ones: some seconds
constexpr int64_t most_elements = int64_t{1} << 25;  // of one weight, twice in f32: 256 MiB
constexpr int64_t most_reference_tokens = 8;

/// Checkpoints are imported in this form; the passes bring others into it.
void bring_into_decoder_form(Graph& graph) {
  const bool embeds =
      std::ranges::any_of(graph.order(), [&](NodeId n) { return graph.op_as<ops::Embedding>(n) != nullptr; });
  if (!embeds) run_passes(graph, {});
}

int64_t largest_weight(const Graph& graph) {
  int64_t largest = 0;
  for (const ValueId id : graph.constants()) {
    largest = std::max(largest, element_count(graph.value(id).constant->shape()));
  }
  return largest;
}

/// The logits [rows, vocabulary] behind the last `rows` tokens.
Tensor reference_logits(const Graph& graph, std::span<const int32_t> text, size_t rows) {
  const auto count = static_cast<int64_t>(text.size());
  std::vector<int32_t> positions(text.size()), sampled(rows);
  std::iota(positions.begin(), positions.end(), 0);
  std::iota(sampled.begin(), sampled.end(), static_cast<int32_t>(text.size() - rows));
  const Tensor ids = Tensor::of({count}, text), position = Tensor::of({count}, std::span<const int32_t>(positions)),
               wanted = Tensor::of({static_cast<int64_t>(rows)}, std::span<const int32_t>(sampled));
  const Tensor* inputs[] = {&ids, &position, &wanted};
  ReferenceCache cache;
  return std::move(interpret(graph, inputs, cache).at(0));
}

/// What was computed of those tokens of a row, in the reference's distribution.
GoldenRow row_like(const GoldenRow& row, std::span<const float> logits, int32_t forced) {
  const auto total = log_sum_exp<double>(logits.data(), std::ssize(logits));
  const auto logprob = [&](int32_t id) { return static_cast<float>(logits[static_cast<size_t>(id)] - total); };
  GoldenRow reference{row.ids, {}, logprob(forced)};
  for (const int32_t id : row.ids) reference.logprobs.push_back(logprob(id));
  return reference;
}

/// The longest prompt of up to so many tokens; null: there is none.
const GoldenPrompt* longest_prompt(const GoldenLogits& golden, int64_t most) {
  const GoldenPrompt* longest = nullptr;
  for (const GoldenPrompt& prompt : golden.prompts) {
    if (prompt.tokens <= most) longest = &prompt;
  }
  return longest;
}

}  // namespace

double format_tolerance(const plan::Plan& plan) {
  double tolerance = weight_format(text(plan.precision())).tolerance;
  for (const plan::CacheGroup* group : items(plan.groups())) {
    for (const plan::CachePlane* plane : items(group->planes())) {
      const DType dtype = dtype_from_name(text(plane->dtype()));
      if (dtype == DType::bf16) tolerance = std::max(tolerance, weight_format("bf16").tolerance);
      if (dtype == DType::i8) tolerance = std::max(tolerance, weight_format("int8").tolerance);
    }
  }
  for (const plan::Weight* weight : items(plan.weights())) {
    for (const NamedWeightFormat& named : weight_formats()) {
      if (to_text(named.format) == text(weight->format())) tolerance = std::max(tolerance, named.tolerance);
    }
  }
  return tolerance;
}

GoldenLogits record_golden(Gateway& gateway) {
  GoldenRecording recording;
  recording.format_error = format_tolerance(gateway.engine().plan());
  GoldenLogits golden = record_golden(gateway, recording);
  golden.no_reference = "the model was not there";
  return golden;
}

void hold_against_reference(GoldenLogits& golden, const Engine& engine, const std::function<Model()>& make_model) {
  Model model = make_model();
  const int64_t parameters = std::max<int64_t>(1, parameter_count(model.graph));
  const int64_t tokens = std::min(most_reference_tokens, most_products / parameters);
  const GoldenPrompt* const prompt = longest_prompt(golden, tokens);
  if (parameters > most_parameters) {
    golden.no_reference = "it has too many parameters";
    return;
  }
  if (prompt == nullptr) {
    golden.no_reference = "no prompt is short enough";
    return;
  }
  if (largest_weight(model.graph) > most_elements) {
    golden.no_reference = "a weight of it is too large";
    return;
  }
  const size_t rows = std::min(prompt->rows.size(), static_cast<size_t>(tokens - prompt->tokens + 1));
  std::vector<int32_t> ids(golden.text.begin(), golden.text.begin() + prompt->tokens);
  ids.resize(ids.size() + rows - 1, golden.forced);
  Tensor computed;
  try {
    bring_into_decoder_form(model.graph);
    computed = reference_logits(model.graph, ids, rows);
  } catch (const Error& error) {
    check_interrupt();
    golden.no_reference = error.what();
    return;
  }
  const auto logits = computed.as<float>();
  const size_t vocabulary = logits.size() / rows;
  double largest = 0;
  for (const float logit : logits) largest = std::max(largest, std::fabs(static_cast<double>(logit)));
  if (!std::ranges::all_of(logits, [](float logit) { return std::isfinite(logit); })) {
    golden.no_reference = "its logits are NaN or infinite";
    return;
  }
  GoldenReference& reference = golden.reference.emplace();
  reference.tokens = static_cast<int32_t>(ids.size());
  // An error of logits moves the sum of all as far as one of them.
  reference.tolerance = 2 * golden.format_error * largest;
  for (size_t i = 0; i < rows; ++i) {
    const GoldenRow expected = row_like(prompt->rows[i], logits.subspan(i * vocabulary, vocabulary), golden.forced);
    const RowDeviation found = deviation_of(expected, prompt->rows[i], golden.forced);
    reference.deviation = std::max(reference.deviation, found.largest);
    if (found.largest <= reference.tolerance) continue;
    throw Error(engine.path().string(),
                fmt::format("is not what the model is: behind {} tokens its log-probability of token {} is {:.6g}, and "
                            "the model's {:.6g}, {:.3g} being what {} explains",
                            static_cast<size_t>(prompt->tokens) + i, found.token, found.found, found.expected,
                            reference.tolerance, text(engine.plan().precision())),
                "choose a higher --precision; if it is f32 already, report it");
  }
}

}  // namespace incipit::cli
