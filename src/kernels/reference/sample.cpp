#include <algorithm>
#include <cmath>
#include <vector>

#include "base/softmax.h"
#include "kernels/batch.h"
#include "kernels/sampling.h"
#include "kernels/sampling_rules.h"

namespace incipit {
namespace {

struct Candidate {
  int32_t id;
  float logit;
  uint64_t weight;
};

bool before(const Candidate& a, const Candidate& b) { return a.logit > b.logit || (a.logit == b.logit && a.id < b.id); }

/// What a row may yield, best first.
std::vector<Candidate> candidates_of(const Sample::Problem& problem, const Sample::Args& args, int32_t row) {
  const SequenceSpan& span = args.spans[args.row_sequence[row]];
  const SlotState& state = args.slots.slots[span.slot];
  const SamplingParameters& parameters = state.parameters;
  std::vector<float> logits(args.logits + row * args.logits_stride,
                            args.logits + row * args.logits_stride + problem.vocabulary);
  for (float& logit : logits) logit = ordered_logit(logit);
  for (int32_t i = 0; i < parameters.biases; ++i) {
    float& logit = logits[static_cast<size_t>(parameters.bias_ids[static_cast<size_t>(i)])];
    logit = ordered_logit(logit + parameters.bias_values[static_cast<size_t>(i)]);
  }
  // Tokens of the step that come after the row's own are not its past.
  const int32_t later = span.first_position + span.tokens - 1 - args.row_positions[row];
  const int32_t* history = args.slots.history + int64_t{span.slot} * args.slots.max_context;
  std::vector<int32_t> prompt(logits.size()), generated(logits.size());
  for (int32_t i = 0; i < state.length - later; ++i) {
    ++(i >= args.slots.generated_from[span.slot] ? generated : prompt)[static_cast<size_t>(history[i])];
  }
  const bool masked = args.masks != nullptr && args.row_masked[row] != 0;
  const uint32_t* mask = masked ? args.masks + int64_t{row} * ((problem.vocabulary + 31) / 32) : nullptr;
  std::vector<Candidate> candidates;
  for (int32_t id = 0; id < problem.vocabulary; ++id) {
    const auto i = static_cast<size_t>(id);
    if (masked && (mask[id / 32] >> (id % 32) & 1) == 0) continue;
    const float logit =
        has_penalties(parameters) ? penalized(parameters, logits[i], prompt[i], generated[i]) : logits[i];
    candidates.push_back({id, logit, 0});
  }
  // Without anything above −infinity the lowest allowed id stays.
  std::stable_sort(candidates.begin(), candidates.end(), before);
  const auto end =
      std::find_if(candidates.begin(), candidates.end(), [](const auto& c) { return c.logit == no_logit; });
  candidates.erase(end == candidates.begin() && end != candidates.end() ? end + 1 : end, candidates.end());
  return candidates;
}

uint64_t total_of(const std::vector<Candidate>& candidates) {
  uint64_t total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  return total;
}

int32_t draw(const SamplingParameters& parameters, int64_t position, std::vector<Candidate> candidates) {
  if (candidates.empty()) return 0;
  if (parameters.temperature <= 0 || candidates[0].logit == no_logit) return candidates[0].id;
  for (Candidate& candidate : candidates) {
    candidate.weight = sampling_weight(below_best(parameters, candidate.logit, candidates[0].logit));
  }
  if (parameters.top_k > 0 && candidates.size() > static_cast<size_t>(parameters.top_k)) {
    candidates.resize(static_cast<size_t>(parameters.top_k));
  }
  if (parameters.top_p < 1) {
    const uint64_t wanted = top_p_weight(parameters, total_of(candidates));
    uint64_t sum = 0;
    size_t kept = 0;
    while (sum < wanted) sum += candidates[kept++].weight;
    candidates.resize(kept);
  }
  std::erase_if(candidates, [&](const Candidate& c) { return !passes_min_p(parameters, c.weight); });
  std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  const uint64_t wanted = drawn_weight(parameters, position, total_of(candidates));
  uint64_t sum = 0;
  for (const Candidate& candidate : candidates) {
    sum += candidate.weight;
    if (sum >= wanted) return candidate.id;
  }
  return candidates.back().id;
}

}  // namespace

void Sample::reference(const Problem& problem, const Args& args) {
  for (int32_t row = 0; row < args.rows; ++row) {
    const SequenceSpan& span = args.spans[args.row_sequence[row]];
    SlotState& state = args.slots.slots[span.slot];
    SampledRow& result = args.output[row];
    result = SampledRow{};
    result.top_ids.fill(-1);
    result.top_logprobs.fill(no_logit);
    result.id = draw(state.parameters, int64_t{args.row_positions[row]} + 1, candidates_of(problem, args, row));

    std::vector<double> terms;
    std::vector<Candidate> model;
    for (int32_t id = 0; id < problem.vocabulary; ++id) {
      model.push_back({id, ordered_logit(args.logits[row * args.logits_stride + id]), 0});
      terms.push_back(model.back().logit);
    }
    const SoftmaxTotal<double> total = to_softmax_terms(terms.data(), problem.vocabulary);
    const auto logprob = [&](float logit) {
      return logit == no_logit ? no_logit : static_cast<float>(logit - total.largest - std::log(total.sum));
    };
    result.logprob = logprob(model[static_cast<size_t>(result.id)].logit);
    std::sort(model.begin(), model.end(), before);
    for (const Candidate& candidate : model) {
      if (result.top_count == state.parameters.top_logprobs || candidate.logit == no_logit) break;
      const auto i = static_cast<size_t>(result.top_count++);
      result.top_ids[i] = candidate.id;
      result.top_logprobs[i] = logprob(candidate.logit);
    }
    if (row == span.first_row + span.rows - 1) state.last_token = result.id;
  }
}

}  // namespace incipit
