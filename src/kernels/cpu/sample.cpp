// The tokens that a step begins with and the ones that it ends with.
//
// Sampling never sorts a row: the candidates that can be drawn at all are a few (their weight is not zero), and top-k,
// top-p and the draw itself are selections in linear time.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/batch.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"
#include "kernels/sampling_rules.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/sample.cpp"
#include "hwy/foreach_target.h"
//
#include "kernels/cpu/highway_rows-inl.h"

#ifndef INCIPIT_SAMPLE_SELECTION
#define INCIPIT_SAMPLE_SELECTION
namespace incipit {
namespace {

struct BestFirst {
  bool operator()(uint64_t a, uint64_t b) const { return a > b; }
};
struct LowestIdFirst {
  bool operator()(uint64_t a, uint64_t b) const { return key_id(a) < key_id(b); }
};

/// The candidates of a row and how they weigh.
struct Candidates {
  const SamplingParameters& parameters;
  float best;
  uint64_t* keys;
  size_t count;

  uint64_t weight(uint64_t key) const { return sampling_weight(below_best(parameters, key_logit(key), best)); }
  uint64_t sum(size_t begin, size_t end) const {
    uint64_t total = 0;
    for (size_t i = begin; i < end; ++i) total += weight(keys[i]);
    return total;
  }
  /// Rearranges the keys so that the smallest beginning, in the given order, whose weights reach `wanted` comes first,
  /// its last candidate last; returns its length. The total must reach `wanted`.
  template <typename Order>
  size_t prefix_reaching(uint64_t wanted, Order order) {
    size_t begin = 0, end = count;
    uint64_t sum_before = 0;
    while (end - begin > 1) {
      const size_t middle = begin + (end - begin) / 2;
      std::nth_element(keys + begin, keys + middle, keys + end, order);
      const uint64_t half = sum(begin, middle);
      if (sum_before + half >= wanted) {
        end = middle;
      } else {
        sum_before += half;
        begin = middle;
      }
    }
    return end;
  }
};

int32_t draw_candidate(Candidates candidates, int64_t position) {
  const SamplingParameters& parameters = candidates.parameters;
  if (parameters.top_k > 0 && candidates.count > static_cast<size_t>(parameters.top_k)) {
    std::nth_element(candidates.keys, candidates.keys + parameters.top_k, candidates.keys + candidates.count,
                     BestFirst());
    candidates.count = static_cast<size_t>(parameters.top_k);
  }
  if (parameters.top_p < 1) {
    const uint64_t wanted = top_p_weight(parameters, candidates.sum(0, candidates.count));
    candidates.count = candidates.prefix_reaching(wanted, BestFirst());
  }
  if (parameters.min_p > 0) {
    uint64_t* end = std::remove_if(candidates.keys, candidates.keys + candidates.count,
                                   [&](uint64_t key) { return !passes_min_p(parameters, candidates.weight(key)); });
    candidates.count = static_cast<size_t>(end - candidates.keys);
  }
  const uint64_t wanted = drawn_weight(parameters, position, candidates.sum(0, candidates.count));
  return key_id(candidates.keys[candidates.prefix_reaching(wanted, LowestIdFirst()) - 1]);
}

/// The best `limit` tokens of a row by its own logits, into `result`; their log-probabilities are filled in as logits.
void find_top(const float* logits, int32_t vocabulary, int32_t limit, SampledRow& result) {
  for (int32_t id = 0; id < vocabulary; ++id) {
    const float logit = ordered_logit(logits[id]);
    if (logit == no_logit) continue;
    auto at = static_cast<size_t>(result.top_count);
    if (result.top_count == limit) {
      if (logit <= result.top_logprobs[at - 1]) continue;
      --at;
    } else {
      ++result.top_count;
    }
    for (; at > 0 && result.top_logprobs[at - 1] < logit; --at) {
      result.top_logprobs[at] = result.top_logprobs[at - 1];
      result.top_ids[at] = result.top_ids[at - 1];
    }
    result.top_logprobs[at] = logit;
    result.top_ids[at] = id;
  }
}

/// Penalises the tokens that the row's past holds. The slot's counts also hold the `later` tokens of the step that come
/// after the row's own: those tokens are done again with the right counts.
void apply_penalties(const SlotArrays& slots, int32_t slot, int32_t later, const float* logits, float* adjusted) {
  const SlotState& state = slots.slots[slot];
  const int64_t row = int64_t{slot} * slots.vocabulary;
  const uint16_t* prompt = slots.prompt_counts + row;
  const uint16_t* generated = slots.generated_counts + row;
  const int32_t* history = slots.history + int64_t{slot} * slots.max_context;
  const SamplingParameters& parameters = state.parameters;
  const auto biased = [&](int32_t id) {
    float logit = ordered_logit(logits[id]);
    for (size_t i = 0; i < static_cast<size_t>(parameters.biases); ++i) {
      if (parameters.bias_ids[i] == id) logit = ordered_logit(logit + parameters.bias_values[i]);
    }
    return logit;
  };
  for (int32_t id = 0; id < slots.vocabulary; ++id) {
    if ((prompt[id] | generated[id]) != 0)
      adjusted[id] = penalized(parameters, adjusted[id], prompt[id], generated[id]);
  }
  for (int32_t i = state.length - later; i < state.length; ++i) {
    const int32_t id = history[i];
    if (adjusted[id] == no_logit) continue;
    int32_t times[2] = {prompt[id], generated[id]};
    for (int32_t j = state.length - later; j < state.length; ++j) {
      if (history[j] == id) --times[j >= slots.generated_from[slot] ? 1 : 0];
    }
    adjusted[id] = penalized(parameters, biased(id), times[0], times[1]);
  }
}

}  // namespace
}  // namespace incipit
#endif

HWY_BEFORE_NAMESPACE();
namespace incipit {
namespace HWY_NAMESPACE {

/// NaN becomes −infinity, +infinity the largest float, −0 becomes 0: ordered_logit on a vector.
HWY_INLINE FloatVec ordered_logits(FloatVec x) {
  const FloatTag d;
  const auto lowest = hn::Set(d, no_logit);
  const auto finite = hn::Add(hn::Min(hn::Set(d, FLT_MAX), x), hn::Zero(d));
  return hn::IfThenElse(hn::Gt(x, lowest), finite, lowest);
}

/// Highway's own reduction begins at the lowest finite float where lanes are emulated, and would lose −infinity.
HWY_INLINE float largest_lane(FloatVec v) {
  alignas(64) float buffer[HWY_MAX_BYTES / sizeof(float)];
  store_floats(v, buffer);
  return *std::max_element(buffer, buffer + float_lanes());
}

/// Copies a row's ordered logits and returns the largest.
HWY_INLINE float copy_logits(const float* logits, int64_t count, float* to) {
  const FloatTag d;
  const auto n = static_cast<int64_t>(float_lanes());
  auto most = hn::Set(d, no_logit);
  int64_t i = 0;
  for (; i + n <= count; i += n) {
    const auto x = ordered_logits(load_floats(logits + i));
    store_floats(x, to + i);
    most = hn::Max(most, x);
  }
  float largest = largest_lane(most);
  for (; i < count; ++i) {
    to[i] = ordered_logit(logits[i]);
    largest = std::max(largest, to[i]);
  }
  return largest;
}

HWY_INLINE float largest_of(const float* logits, int64_t count) {
  const FloatTag d;
  const auto n = static_cast<int64_t>(float_lanes());
  auto most = hn::Set(d, no_logit);
  int64_t i = 0;
  for (; i + n <= count; i += n) most = hn::Max(most, load_floats(logits + i));
  float largest = largest_lane(most);
  for (; i < count; ++i) largest = std::max(largest, logits[i]);
  return largest;
}

/// Σ e^(logit − largest). Partial sums of 4096 terms are in float, their sum in double.
HWY_INLINE double sum_of_exponentials(const float* logits, int64_t count, float largest) {
  const FloatTag d;
  const auto n = static_cast<int64_t>(float_lanes());
  const auto most = hn::Set(d, largest);
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += 4096) {
    const int64_t end = std::min<int64_t>(begin + 4096, count);
    auto sum = hn::Zero(d);
    int64_t i = begin;
    for (; i + n <= end; i += n) sum = hn::Add(sum, hn::Exp(d, hn::Sub(load_floats(logits + i), most)));
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
    for (; i < end; ++i) total += std::exp(static_cast<double>(logits[i]) - static_cast<double>(largest));
  }
  return total;
}

/// Keys of the candidates whose weight may be more than zero, in order of id.
HWY_INLINE size_t collect_candidates(const float* logits, int64_t count, float lowest, uint64_t* keys) {
  const FloatTag d;
  const auto n = static_cast<int64_t>(float_lanes());
  const auto limit = hn::Set(d, lowest);
  size_t found = 0;
  for (int64_t i = 0; i < count; i += n) {
    if (i + n <= count && hn::AllFalse(d, hn::Ge(load_floats(logits + i), limit))) continue;
    for (int64_t j = i; j < std::min(i + n, count); ++j) {
      if (logits[j] >= lowest && logits[j] > no_logit)
        keys[found++] = candidate_key(logits[j], static_cast<int32_t>(j));
    }
  }
  return found;
}

void run_sample(const Sample::Problem& problem, const Sample::Args& args, const KernelConfig&, int64_t row,
                std::byte* scratch) {
  const int32_t vocabulary = problem.vocabulary;
  const SequenceSpan& span = args.spans[args.row_sequence[row]];
  SlotState& state = args.slots.slots[span.slot];
  const SamplingParameters& parameters = state.parameters;
  const float* logits = args.logits + row * args.logits_stride;
  auto* adjusted = reinterpret_cast<float*>(scratch);
  auto* keys = reinterpret_cast<uint64_t*>(scratch + round_up(int64_t{vocabulary} * 4, 64));
  SampledRow& result = args.output[row];
  result = SampledRow{};
  result.top_ids.fill(-1);
  result.top_logprobs.fill(no_logit);

  const float largest = copy_logits(logits, vocabulary, adjusted);
  const double log_sum = largest == no_logit ? 0 : std::log(sum_of_exponentials(adjusted, vocabulary, largest));
  const auto logprob = [&](float logit) {
    return logit == no_logit ? no_logit
                             : static_cast<float>(static_cast<double>(logit) - static_cast<double>(largest) - log_sum);
  };

  bool changed = false;
  for (size_t i = 0; i < static_cast<size_t>(parameters.biases); ++i) {
    float& logit = adjusted[parameters.bias_ids[i]];
    logit = ordered_logit(logit + parameters.bias_values[i]);
    changed = true;
  }
  if (has_penalties(parameters)) {
    const int32_t later = span.first_position + span.tokens - 1 - args.row_positions[row];
    apply_penalties(args.slots, span.slot, later, logits, adjusted);
    changed = true;
  }
  int32_t fallback = 0;
  if (args.masks != nullptr && args.row_masked[row] != 0) {
    const uint32_t* mask = args.masks + row * ((vocabulary + 31) / 32);
    fallback = vocabulary;
    for (int32_t id = 0; id < vocabulary; ++id) {
      if ((mask[id / 32] >> (id % 32) & 1) != 0) {
        fallback = std::min(fallback, id);
      } else {
        adjusted[id] = no_logit;
      }
    }
    if (fallback == vocabulary) fallback = 0;
    changed = true;
  }
  const float best = changed ? largest_of(adjusted, vocabulary) : largest;
  if (best == no_logit) {
    result.id = fallback;
  } else if (parameters.temperature <= 0) {
    result.id = static_cast<int32_t>(std::find(adjusted, adjusted + vocabulary, best) - adjusted);
  } else {
    // e^-29 · 2^40 < 1, with room for the roundings.
    const float lowest = best - 29 * parameters.temperature;
    const size_t count = collect_candidates(adjusted, vocabulary, lowest, keys);
    result.id = draw_candidate({parameters, best, keys, count}, int64_t{args.row_positions[row]} + 1);
  }
  result.logprob = logprob(ordered_logit(logits[result.id]));
  if (parameters.top_logprobs > 0) {
    find_top(logits, vocabulary, parameters.top_logprobs, result);
    for (size_t i = 0; i < static_cast<size_t>(result.top_count); ++i) {
      result.top_logprobs[i] = logprob(result.top_logprobs[i]);
    }
  }
  if (row == span.first_row + span.rows - 1) state.last_token = result.id;
}

}  // namespace HWY_NAMESPACE
}  // namespace incipit
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace incipit {
namespace {

void run_resolve_tokens(const ResolveTokens::Problem& problem, const ResolveTokens::Args& args, const KernelConfig&,
                        int64_t tile, std::byte*) {
  ResolveTokens::Args one = args;
  one.sequences = 1;
  one.spans = args.spans + tile;
  ResolveTokens::reference(problem, one);
}

}  // namespace

Kernel<ResolveTokens> resolve_tokens_generic() {
  const auto accepts = [](const ResolveTokens::Problem& p) { return p.vocabulary > 0; };
  const auto tiles = [](const ResolveTokens::Problem&, const ResolveTokens::Args& args, const KernelConfig&) {
    return int64_t{args.sequences};
  };
  return {"resolve_tokens/generic",
          1,
          {},
          accepts,
          plain_config,
          {no_scratch_needed<ResolveTokens>, tiles, run_resolve_tokens}};
}

Kernel<Sample> sample_highway(HighwayTarget target) {
  static constexpr std::string_view names[] = {"sample/hwy_baseline", "sample/hwy_avx2", "sample/hwy_avx3"};
  constexpr HighwayRuns<Sample> runs = INCIPIT_HIGHWAY_RUNS(run_sample);
  const auto accepts = [](const Sample::Problem& p) { return p.vocabulary > 0; };
  const auto scratch = [](const Sample::Problem& p, const KernelConfig&, int32_t) {
    return static_cast<size_t>(round_up(int64_t{p.vocabulary} * 4, 64) + int64_t{p.vocabulary} * 8);
  };
  const auto tiles = [](const Sample::Problem&, const Sample::Args& args, const KernelConfig&) {
    return int64_t{args.rows};
  };
  const auto i = static_cast<size_t>(target);
  return {names[i], 1, highway_needs(target), accepts, plain_config, {scratch, tiles, runs[i]}};
}

}  // namespace incipit
#endif
