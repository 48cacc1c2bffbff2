#include "measure/paired_probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "engine/plan_items.h"
#include "measure/measure.h"
#include "measure/probe_request.h"

namespace incipit {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double doubt = 0.01;  // how often a median ratio may be outside of what is told
constexpr int32_t fewest_pairs = 8;
constexpr int32_t least_prompt = 16;  // shorter ones take as long as a decoded token

double in_ms(Clock::duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

double middle_of(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// How many of the smallest of n values are surely below the median, and as many of the largest above: the most for
/// which so few heads of n coins are rare enough.
size_t values_outside(size_t n) {
  double chance = std::exp2(-static_cast<double>(n)), sum = 0;
  size_t count = 0;
  while (count <= n / 2) {
    sum += chance;
    if (2 * sum > doubt) break;
    chance *= static_cast<double>(n - count) / static_cast<double>(count + 1);
    ++count;
  }
  return count;
}

/// One thing that both engines do.
struct Task {
  std::string kind;
  int32_t prompt = 0, new_tokens = 1;
};

/// A prompt's first token, or one after it, in ms; nothing where the engine does not come to it in that time.
std::optional<double> time_of(Gateway& gateway, const Task& task, std::chrono::seconds patience) {
  const std::vector<int32_t> prompt = measured_request(gateway, task.prompt, 1).prompt;
  EngineProbe probe(gateway, probe_request(gateway, prompt, task.new_tokens));
  const ProbeAnswer answer = probe.answer(Clock::now() + patience);
  if (answer.finish == FinishReason::none || answer.finish == FinishReason::cancelled) return {};
  if (!answer.is_whole()) throw Error(gateway.engine().path().string(), answer.failure);
  if (task.new_tokens == 1) return in_ms(answer.times.front() - answer.begun);
  std::vector<double> gaps;
  for (size_t i = 1; i < answer.times.size(); ++i) gaps.push_back(in_ms(answer.times[i] - answer.times[i - 1]));
  return middle_of(std::move(gaps));
}

Pace probe_task(Gateway& older, Gateway& newer, const Task& task, const PairedOptions& options) {
  PairedTimes times;
  Pace pace;
  // Who looks after every pair sees what is wanted more often than it is so.
  int32_t next_look = options.least_pairs;
  const auto begun = Clock::now();
  for (bool counts = false;; counts = true) {
    const auto a = time_of(older, task, options.patience), b = time_of(newer, task, options.patience);
    if (!a || !b) return pace;
    if (!counts) continue;
    const auto c = time_of(newer, task, options.patience), d = time_of(older, task, options.patience);
    if (!c || !d) return pace;
    times.older.insert(times.older.end(), {*a, *d});
    times.newer.insert(times.newer.end(), {*b, *c});
    const auto pairs = static_cast<int32_t>(times.older.size());
    const bool late = in_ms(Clock::now() - begun) > options.seconds * 1e3;
    if (pairs < fewest_pairs || (pairs < next_look && !late)) continue;
    pace = judge(times, options.bound);
    if (pace.verdict != PaceVerdict::inconclusive || pairs >= options.most_pairs || late) return pace;
    next_look = std::min(2 * next_look, options.most_pairs);
  }
}

}  // namespace

std::string_view name_of(PaceVerdict verdict) {
  switch (verdict) {
    case PaceVerdict::faster_or_equal: return "faster_or_equal";
    case PaceVerdict::slower: return "slower";
    case PaceVerdict::inconclusive: return "inconclusive";
  }
  return "inconclusive";
}

Pace judge(const PairedTimes& times, double bound) {
  INCIPIT_ASSERT(times.older.size() == times.newer.size());
  Pace pace;
  pace.pairs = static_cast<int32_t>(times.older.size());
  if (times.older.empty()) return pace;
  std::vector<double> ratios;
  for (size_t i = 0; i < times.older.size(); ++i) ratios.push_back(times.newer[i] / times.older[i]);
  std::ranges::sort(ratios);
  pace.older_ms = middle_of(times.older);
  pace.newer_ms = middle_of(times.newer);
  pace.ratio = middle_of(ratios);
  const size_t outside = values_outside(ratios.size());
  if (outside == 0) return pace;
  pace.low = ratios[outside - 1];
  pace.high = ratios[ratios.size() - outside];
  if (pace.low > bound) pace.verdict = PaceVerdict::slower;
  if (pace.high <= bound) pace.verdict = PaceVerdict::faster_or_equal;
  return pace;
}

std::vector<int32_t> paired_prompts(const Gateway& older, const Gateway& newer) {
  const int32_t context = std::min(older.limits().max_context, newer.limits().max_context);
  std::vector<int32_t> prompts;
  for (const plan::Bucket* bucket : items(newer.engine().plan().buckets())) {
    const int32_t tokens = std::min(static_cast<int32_t>(bucket->tokens()), context);
    if (tokens >= least_prompt && (prompts.empty() || tokens > prompts.back())) prompts.push_back(tokens);
  }
  if (prompts.empty()) prompts.push_back(context);
  return prompts;
}

std::vector<PairedResult> probe_pairs(Gateway& older, Gateway& newer, const PairedOptions& options,
                                      const std::function<void()>& advance) {
  std::vector<Task> tasks;
  for (const int32_t tokens : paired_prompts(older, newer)) tasks.push_back({"ttft", tokens, 1});
  const int32_t context = std::min(older.limits().max_context, newer.limits().max_context);
  const int32_t prompt = std::min(least_prompt, context / 2);
  const int32_t decoded = std::min(options.decode_tokens, context - prompt);
  if (decoded > 0 && prompt > 0) tasks.push_back({"decode", prompt, 1 + decoded});
  std::vector<PairedResult> results;
  for (const Task& task : tasks) {
    const bool decodes = task.new_tokens > 1;
    results.push_back({task.kind, decodes ? decoded : task.prompt, probe_task(older, newer, task, options)});
    if (advance) advance();
  }
  return results;
}

}  // namespace incipit
