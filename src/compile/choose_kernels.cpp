// The stage that chooses a kernel for every step and bucket.
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "base/log.h"
#include "compile/stages.h"
#include "tune/tuner.h"

namespace incipit {
namespace {

/// Asks the tuner once for every distinct problem of every bucket.
class KernelChooser {
 public:
  /// `one_for_all`: the choice of the largest bucket, which is where first tokens come from, for every bucket.
  KernelChooser(Tuner& tuner, KeptMeasurements& kept, const std::vector<plan::BucketT>& buckets, bool one_for_all)
      : tuner_(tuner), kept_(kept), buckets_(buckets), one_for_all_(one_for_all) {}

  /// Gives a step its kernels, and tells what was chosen.
  std::vector<KernelChoice> choose(plan::StepT& step) {
    std::vector<KernelChoice> choices;
    for (const plan::BucketT& own : buckets_) {
      const plan::BucketT& bucket = one_for_all_ ? buckets_.back() : own;
      const uint32_t rows = step.axis == plan::Axis::tokens ? bucket.tokens : bucket.rows;
      const KernelChoice& choice = choices.emplace_back(choose(step.problem, static_cast<int32_t>(rows)));
      step.kernels.push_back({{}, choice.kernel, choice.abi, choice.config});
    }
    return choices;
  }
  int32_t problems() const { return static_cast<int32_t>(chosen_.size()); }

 private:
  const KernelChoice& choose(const std::string& problem, int32_t rows) {
    const auto key = std::make_pair(problem, rows);
    if (const auto found = chosen_.find(key); found != chosen_.end()) return found->second;
    check_interrupt();
    const KernelChoice& choice = chosen_.emplace(key, tuner_.choose({problem, rows})).first->second;
    kept_.save_some();
    return choice;
  }

  Tuner& tuner_;
  KeptMeasurements& kept_;
  const std::vector<plan::BucketT>& buckets_;
  bool one_for_all_;
  std::map<std::pair<std::string, int32_t>, KernelChoice> chosen_;
};

void note_portable_fallbacks(const std::string& problem, const std::vector<KernelChoice>& choices, const Target& target,
                             std::vector<PortableFallback>& list) {
  for (const KernelChoice& choice : choices) {
    if (!is_portable_fallback(problem, choice, target)) continue;
    auto known = std::ranges::find_if(
        list, [&](const PortableFallback& other) { return other.problem == problem && other.kernel == choice.kernel; });
    if (known == list.end()) known = list.insert(list.end(), {problem, choice.kernel, choice.microseconds > 0, 0});
    ++known->steps;
    return;
  }
}

/// No slow path is taken in silence.
void tell_portable_fallbacks(const std::vector<PortableFallback>& fallbacks, const Target& target) {
  for (const PortableFallback& fallback : fallbacks) {
    const auto level = fallback.measured ? spdlog::level::info : spdlog::level::warn;
    spdlog::log(level, "{} steps run on {}, portable code, though the target has {}{}: {}", fallback.steps,
                fallback.kernel, to_string(target), fallback.measured ? ", as it was measured to be the fastest" : "",
                fallback.problem);
  }
}

}  // namespace

Tuned choose_kernels(Planned planned, const CompileOptions& options, const Target& target, KeptMeasurements& kept,
                     Progress& progress) {
  Tuned tuned(std::move(planned));
  plan::PlanT& plan = tuned.draft.plan;
  Tuner tuner(kept.cache(), {target, options.threads, 0.15, options.tune});
  KernelChooser chooser(tuner, kept, plan.buckets, options.deterministic);
  std::vector<PortableFallback>& fallbacks = tuned.report.portable_fallbacks;
  const auto choose = [&](plan::StepT& step) {
    note_portable_fallbacks(step.problem, chooser.choose(step), target, fallbacks);
  };
  progress.stage("kernels", static_cast<int64_t>(plan.steps.size()), "steps");
  for (plan::StepT& step : plan.steps) {
    choose(step);
    progress.advance(1);
  }
  for (plan::StepT* step : {plan.resolve_tokens.get(), plan.sample.get()}) {
    if (step != nullptr) choose(*step);
  }
  progress.finish();
  kept.save_if_possible();
  tell_portable_fallbacks(fallbacks, target);
  tuned.report.tuned_problems = chooser.problems();
  tuned.report.measured_problems = kept.cache().changes();
  return tuned;
}

}  // namespace incipit
